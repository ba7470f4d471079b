/* The disk that a directory is on, and the removal of files and directories where others
 * may exchange them. */
#ifndef QVM_DISK_H
#define QVM_DISK_H

#include "util/error.h"

#include <stdint.h>

/* Bytes that are free on the file system of a path. What only root may use is counted,
 * since the writer may be root. Returns 0; or -1, with QVM_UNSUPPORTED if the file system
 * does not say (it has no blocks). */
int disk_free(const char *path, uint64_t *bytes, struct qvm_error *err);

/* Removes the name `path` if it refers to the regular file that is open as `fd`. A symbolic
 * link is never followed: it is not that file. Returns 0, or -1 and nothing was removed:
 * QVM_BUSY if the name refers to something else by now. */
int remove_open_file(const char *path, int fd, struct qvm_error *err);

/* Removes a directory of this user and the files in it, the one called `first`, if it
 * is not NULL, before all others. Neither the path's last name nor a name in the directory
 * is followed if it is a symbolic link. Directories in it are not removed, nor is then the
 * directory itself. Returns 0, or -1 and the directory is there. */
int remove_directory(const char *path, const char *first, struct qvm_error *err);

/* Checks that only root and this user can create, remove and rename files in a directory.
 * Returns 0; or -1, with QVM_PERMISSION if others can. */
int check_safe_directory(const char *path, struct qvm_error *err);

#endif
