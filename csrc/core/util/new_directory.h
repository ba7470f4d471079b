/* A directory that is made, filled, and removed again unless it is kept. */
#ifndef QVM_NEW_DIRECTORY_H
#define QVM_NEW_DIRECTORY_H

#include "util/entry.h"

#include <stddef.h>

#define NEW_FILES_MAX 8
#define NEW_NAME_SIZE 32

struct new_directory {
    char *path; /* NULL: nothing to close */
    struct entry entry;
    int fd;
    unsigned count; /* files in it */
    char names[NEW_FILES_MAX][NEW_NAME_SIZE];
};

/* Makes a directory for this user alone. 0, or -1 and nothing to close. Code busy if the
 * name is taken. */
int new_directory_open(struct new_directory *made, const char *path, struct qvm_error *err);

/* Writes a file for this user alone into it, up to NEW_FILES_MAX of them. */
int new_directory_write(struct new_directory *made, const char *name, const void *bytes,
                        size_t n, struct qvm_error *err);

/* Removes the files and the directory unless `keep`. To be called once, or again. */
void new_directory_close(struct new_directory *made, bool keep);

#endif
