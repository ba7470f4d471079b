/* Writing a file so that there is always a whole one: the old or the new. */
#ifndef QVM_SAVE_H
#define QVM_SAVE_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Replaces the file at a path, or makes one: for this user alone if `is_private`, else as
 * the umask has it. A file that is replaced keeps its mode, access list, owner and group;
 * if the owner or the group cannot be kept, nobody gains access by it.
 *
 * A FIFO, a character device and the standard output (by a name such as /dev/stdout) are
 * written to. Any other kind of file is unsupported. A symbolic link is followed if only
 * root and this user can change the directory that holds it. In a directory that others can
 * change, what belongs to others is neither replaced nor written to: permission.
 *
 * 0, or -1 and a regular file is as it was. */
int save_file(const char *path, const void *bytes, size_t n, bool is_private,
              struct qvm_error *err);

/* Makes a file that is on the disk when this returns, for this user alone if `is_private`.
 * 0, or the errno of the first step that failed: then there is no such file, or (EEXIST)
 * one that was there before. */
int save_new(int directory, const char *name, const void *bytes, size_t n, bool is_private);

#endif
