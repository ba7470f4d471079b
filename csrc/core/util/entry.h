/* A name in a directory that is held open, so that nobody can exchange the directory
 * between two calls, and the question who else may change what is there. */
#ifndef QVM_ENTRY_H
#define QVM_ENTRY_H

#include "util/error.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct entry {
    int directory;
    struct stat parent; /* of the directory */
    char name[NAME_MAX + 1];
};

/* Opens the directory of a path and keeps the path's last name; slashes at its end do not
 * count. 0, or -1 and nothing to close. */
int entry_open(struct entry *entry, const char *path, struct qvm_error *err);
void entry_close(struct entry *entry);

/* True if only root and this user can change what names the directory holds. */
bool entry_is_safe(const struct entry *entry);

/* True if this user may rely on what was found under the name: the directory is safe, or
 * the file belongs to this user or to the directory's owner (the rule of Linux's
 * fs.protected_regular and fs.protected_fifos). */
bool entry_is_trusted(const struct entry *entry, const struct stat *found);

#endif
