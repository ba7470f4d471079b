/* Regular files. Opening refuses everything else, which might block for ever or have no
 * end. Saving is atomic: at any moment, and after a crash, the path names either the whole
 * old file or the whole new one. */
#ifndef QVM_FILE_IO_H
#define QVM_FILE_IO_H

#include "util/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens a regular file for reading. Returns a descriptor, closed on exec, and the file's
 * size in bytes; or -1, with QVM_UNSUPPORTED if it is not a regular file. */
int regular_open(const char *path, uint64_t *size, struct qvm_error *err);

/* The same for a name that other users can change: a symbolic link is not followed, and
 * what is not a regular file is not even opened, since opening a device can have effects.
 */
int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err);

/* Room for the paths that symbolic links lead save_file() to. It is the caller's, since a
 * failure refers to the last of them. */
struct save_paths {
    char path[2][PATH_MAX];
};

/* Writes n bytes to the file at a path, which is created or replaced. A new file is for
 * this user alone if `is_private`, else its mode follows the umask. A replaced file keeps
 * its mode, access list, owner and group; if the owner or the group cannot be kept, nobody
 * gains access thereby.
 *
 * By what is at the path:
 * - a FIFO, a character device, or a symbolic link to standard output (/dev/stdout): the
 *   bytes are written to it;
 * - another symbolic link: followed if only root and this user can change the directory
 *   that contains it, else QVM_PERMISSION;
 * - a file of another user in a directory that others can change: QVM_PERMISSION;
 * - a directory, a block device or a socket: QVM_UNSUPPORTED.
 *
 * Returns 0, or -1 and a regular file is unchanged. */
int save_file(const char *path, const void *bytes, size_t n, bool is_private,
              struct save_paths *followed, struct qvm_error *err);

/* Creates the file `name` in an open directory, for this user alone if `is_private`, and
 * returns when it is on the disk. Returns 0, or the errno of the first step that failed:
 * then the file was removed, or (EEXIST) was there before and is unchanged. */
int save_new(int directory, const char *name, const void *bytes, size_t n, bool is_private);

#endif
