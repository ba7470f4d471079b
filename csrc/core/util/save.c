#include "util/save.h"

#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* What the system said of the first step that failed; 0: all went well. */
static int write_new(const char *path, const char *bytes, size_t n)
{
    int fd = open_again(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW);
    int number = 0;

    if (fd < 0)
        return errno;
    /* On the disk before it takes the old one's name: the power may fail. */
    if (write_all(fd, bytes, n) != 0 || fsync_again(fd) != 0)
        number = errno;
    /* What was interrupted is on the disk, and nobody can close it once more. */
    if (close(fd) != 0 && number == 0 && errno != EINTR)
        number = errno;
    if (number != 0)
        unlink(path);
    return number;
}

int save_file(const char *path, const void *bytes, size_t n, struct qvm_error *err)
{
    char new_path[PATH_MAX];
    int length = snprintf(new_path, sizeof new_path, "%s.new-%ld", path, (long)getpid());
    int number;

    if (length < 0 || (size_t)length >= sizeof new_path)
        return qvm_fail_errno(err, ENAMETOOLONG, path);
    number = write_new(new_path, bytes, n);
    if (number == EEXIST) /* left by a process that ended, or put there */
        return qvm_fail_errno(err, number, new_path);
    if (number == 0 && rename(new_path, path) != 0) {
        number = errno;
        unlink(new_path);
    }
    return number == 0 ? 0 : qvm_fail_errno(err, number, path);
}
