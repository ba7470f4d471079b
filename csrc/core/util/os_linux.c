/* The part of os.h for Linux: the processors that this process may use; holes by lseek()
 * with SEEK_DATA and SEEK_HOLE, which POSIX has only since 2024; access lists, which are
 * extended attributes that the kernel alone reads and writes here. */
#if defined(__linux__)

#    define _GNU_SOURCE

#    include "util/os.h"

#    include "util/retry.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <sched.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <sys/stat.h>
#    include <sys/xattr.h>
#    include <unistd.h>

static const char ACL[] = "system.posix_acl_access";

uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole)
{
    struct stat status;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), end;

    *hole = false;
    if (data < 0 && errno == ENXIO && fstat(fd, &status) == 0 &&
        (uint64_t)status.st_size >= size) {
        *hole = true; /* up to the end */
        return size;
    }
    if (data < 0) /* not supported, or the file was cut: reading tells */
        return size;
    if ((uint64_t)data > offset) {
        *hole = true;
        return (uint64_t)data < size ? (uint64_t)data : size;
    }
    end = lseek(fd, (off_t)offset, SEEK_HOLE);
    return end > (off_t)offset && (uint64_t)end < size ? (uint64_t)end : size;
}

/* The processors that this process may run on: a host pins its tools away from the guests'
 * processors (taskset, cgroups). More of them than a cpu_set_t holds make the call fail. */
unsigned os_processors(void)
{
    cpu_set_t allowed;
    long count;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return (unsigned)CPU_COUNT(&allowed);
    count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 1 ? (unsigned)count : 1;
}

int os_open_directory(const char *path)
{
    return retry_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int copy_acl(const char *path, size_t size, int fd)
{
    void *list = malloc(size);
    ssize_t got = list ? getxattr(path, ACL, list, size) : -1;
    int status = got < 0 ? -1 : fsetxattr(fd, ACL, list, (size_t)got, 0);
    int number = list ? errno : ENOMEM;

    free(list);
    errno = number;
    return status;
}

/* The attributes of a file opened with O_PATH are had by its name in /proc only. */
static int keep_acl_of(int old, int fd, bool *has_list)
{
    char path[64];
    ssize_t size;

    snprintf(path, sizeof path, "/proc/self/fd/%d", old);
    size = getxattr(path, ACL, NULL, 0);
    *has_list = size > 0;
    if (size > 0)
        return copy_acl(path, (size_t)size, fd);
    if (size < 0 && errno != ENODATA && errno != ENOTSUP)
        return -1;
    if (fremovexattr(fd, ACL) == 0 || errno == ENODATA || errno == ENOTSUP)
        return 0;
    return -1;
}

int os_keep_acl(int directory, const char *name, const struct stat *expected, int fd,
                bool *has_list)
{
    int old = retry_openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), number;
    struct stat status;
    int result = -1;

    if (old < 0)
        return -1;
    if (fstat(old, &status) == 0) {
        errno = EBUSY;
        if (status.st_dev == expected->st_dev && status.st_ino == expected->st_ino)
            result = keep_acl_of(old, fd, has_list);
    }
    number = errno;
    close(old);
    errno = number;
    return result;
}

#else
typedef int os_is_another; /* a file must hold a declaration */
#endif
