/* What is opened is judged by its descriptor: the name may mean another file by then. */
#include "util/regular.h"

#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_other(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a regular file", path);
}

static int open_regular(const char *path, int more_flags, uint64_t *size,
                        struct qvm_error *err)
{
    struct stat status;
    /* O_NONBLOCK: a FIFO must not make us wait before it is refused. */
    int fd = open_again(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags);

    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(fd, &status) != 0)
        qvm_fail_errno(err, errno, path);
    else if (!S_ISREG(status.st_mode))
        fail_other(path, err);
    else {
        *size = (uint64_t)status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

int regular_open(const char *path, uint64_t *size, struct qvm_error *err)
{
    return open_regular(path, 0, size, err);
}

int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (!S_ISREG(status.st_mode))
        return fail_other(path, err);
    return open_regular(path, O_NOFOLLOW, size, err);
}
