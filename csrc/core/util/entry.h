/* A directory entry: an open directory and a name in it. All calls go through the
 * directory's descriptor, so nobody can exchange the directory between two of them. The
 * entry also answers who else can change what the name refers to. */
#ifndef QVM_ENTRY_H
#define QVM_ENTRY_H

#include "util/error.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct entry {
    int directory;
    struct stat parent; /* the directory's status when it was opened */
    char name[NAME_MAX + 1];
};

/* Opens the directory part of `path` and stores the last name; slashes at the end of the
 * path are ignored. The name need not exist. Returns 0, or -1 and nothing to close. */
int entry_open(struct entry *entry, const char *path, struct qvm_error *err);
void entry_close(struct entry *entry);

/* True if only root and this user can create, remove and rename files in the directory. */
bool entry_is_safe(const struct entry *entry);

/* True if this user may rely on the file `found` under the name: the directory is safe, or
 * the file belongs to this user or to the directory's owner (the rule of Linux's
 * fs.protected_regular and fs.protected_fifos). */
bool entry_is_trusted(const struct entry *entry, const struct stat *found);

#endif
