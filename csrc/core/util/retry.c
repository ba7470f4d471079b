/* Repeats system calls that a signal has interrupted. A script may be run by a program
 * whose handlers lack SA_RESTART, and its timers must not make a file fail to open. close()
 * is not among these calls: after EINTR the descriptor is closed on Linux and unspecified
 * elsewhere, so a second call could close another thread's file. */
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int retry_open(const char *path, int flags)
{
    int fd;

    do
        fd = open(path, flags);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int retry_openat(int directory, const char *name, int flags)
{
    int fd;

    do
        fd = openat(directory, name, flags);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int retry_create(int directory, const char *name, mode_t mode)
{
    int fd;

    do
        fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int retry_fsync(int fd)
{
    int status;

    do
        status = fsync(fd);
    while (status != 0 && errno == EINTR);
    return status;
}

ssize_t retry_pread(int fd, void *to, size_t n, off_t offset)
{
    size_t have = 0;

    while (have < n) {
        ssize_t got = pread(fd, (char *)to + have, n - have, offset + (off_t)have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}
