/* System calls that are made again when a signal has interrupted them. */
#ifndef QVM_AGAIN_H
#define QVM_AGAIN_H

#include <sys/types.h>

/* As open, without O_CREAT. */
int open_again(const char *path, int flags);

/* As openat, without O_CREAT. */
int openat_again(int directory, const char *name, int flags);

/* Opens a file that must be new for writing. */
int create_again(int directory, const char *name, mode_t mode);

int fsync_again(int fd);

#endif
