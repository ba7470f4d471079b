/* System calls that are made again when a signal has interrupted them. */
#ifndef QVM_AGAIN_H
#define QVM_AGAIN_H

/* As open; with O_CREAT a file that all may read and write, but for the umask. */
int open_again(const char *path, int flags);

/* As openat, without O_CREAT. */
int openat_again(int directory, const char *name, int flags);

int fsync_again(int fd);

#endif
