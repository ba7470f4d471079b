/* A directory that is created, filled with files and, unless it is kept, removed again with
 * them: what an interrupted program leaves is either complete or nothing. */
#ifndef QVM_NEW_DIRECTORY_H
#define QVM_NEW_DIRECTORY_H

#include "util/entry.h"

#include <stddef.h>

#define NEW_FILES_MAX 8
#define NEW_NAME_SIZE 32 /* bytes of a file's name, with its NUL */

struct new_directory {
    char *path; /* NULL: closed */
    struct entry entry;
    int fd;
    unsigned count; /* files in it */
    char names[NEW_FILES_MAX][NEW_NAME_SIZE];
};

/* Creates a directory for this user alone. Returns 0, or -1 and nothing to close; QVM_BUSY
 * if the name is taken. */
int new_directory_open(struct new_directory *directory, const char *path,
                       struct qvm_error *err);

/* Writes a file for this user alone into it; NEW_FILES_MAX files at most. */
int new_directory_write(struct new_directory *directory, const char *name,
                        const void *bytes, size_t n, struct qvm_error *err);

/* Closes it, and removes the files and the directory unless `keep`. Does nothing if it is
 * closed already. */
void new_directory_close(struct new_directory *directory, bool keep);

#endif
