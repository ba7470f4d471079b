/* Regular files: opening what must be one (anything else might wait for ever, or have no
 * end), and writing one so that the old or the new file is always there whole. */
#ifndef QVM_FILE_IO_H
#define QVM_FILE_IO_H

#include "util/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor for reading, closed on exec, and the file's size in bytes; or -1, with
 * QVM_UNSUPPORTED for what is no regular file. */
int regular_open(const char *path, uint64_t *size, struct qvm_error *err);

/* The same for a name that others may change: a symbolic link is not followed, and what is
 * no regular file is not opened (a device may act when it is). */
int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err);

/* Room for the paths of symbolic links that save_file() follows: the caller's, since a
 * failure refers to the last one. */
struct save_paths {
    char path[2][PATH_MAX];
};

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
              struct save_paths *paths, struct qvm_error *err);

/* Makes a file that is on the disk when this returns, for this user alone if `is_private`.
 * 0, or the errno of the first step that failed: then there is no such file, or (EEXIST)
 * one that was there before. */
int save_new(int directory, const char *name, const void *bytes, size_t n, bool is_private);

#endif
