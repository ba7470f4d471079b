/* System calls that are repeated when a signal interrupts them (EINTR). Each behaves like
 * the call it is named after otherwise. */
#ifndef QVM_RETRY_H
#define QVM_RETRY_H

#include <sys/types.h>

/* open() and openat() without O_CREAT. */
int retry_open(const char *path, int flags);
int retry_openat(int directory, const char *name, int flags);

/* Creates a file and opens it for writing; EEXIST if the name is taken. */
int retry_create(int directory, const char *name, mode_t mode);

int retry_fsync(int fd);

/* pread() that goes on after a short read: fewer than n bytes only where the file ends. */
ssize_t retry_pread(int fd, void *to, size_t n, off_t offset);

#endif
