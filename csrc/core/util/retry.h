/* System calls that are made again when a signal has interrupted them. */
#ifndef QVM_RETRY_H
#define QVM_RETRY_H

#include <sys/types.h>

/* As open, without O_CREAT. */
int retry_open(const char *path, int flags);

/* As openat, without O_CREAT. */
int retry_openat(int directory, const char *name, int flags);

/* Opens a file that must be new for writing. */
int retry_create(int directory, const char *name, mode_t mode);

int retry_fsync(int fd);

#endif
