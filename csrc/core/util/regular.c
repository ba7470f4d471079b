#include "util/regular.h"

#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int regular_open(const char *path, uint64_t *size, struct qvm_error *err)
{
    struct stat status;
    /* O_NONBLOCK: a FIFO must not make us wait before it is refused. */
    int fd = open_again(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(fd, &status) != 0)
        qvm_fail_errno(err, errno, path);
    else if (!S_ISREG(status.st_mode))
        qvm_fail(err, QVM_UNSUPPORTED, "%s: not a regular file", path);
    else {
        *size = (uint64_t)status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}
