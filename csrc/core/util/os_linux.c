/* The part of os.h for Linux.
 *
 * Holes are found by lseek() with SEEK_DATA and SEEK_HOLE, which are in POSIX only since
 * 2024. An access list is the extended attribute "system.posix_acl_access"; it is copied as
 * a block of bytes, and the kernel checks it. The list may name users and groups that the
 * nine mode bits cannot express, so a file whose list was lost would be open to people who
 * were denied, or closed to people who were allowed. */
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

/*     file          DDDDDDDD........DDDD        D: data, .: a hole
 *     SEEK_DATA     gives the offset itself in data, and in a hole its end
 *     SEEK_HOLE     in data, gives the end of the data; each file has a hole at its end
 *
 * Both take an absolute offset and the results are used, not the position, so several
 * threads may ask at once. A file system without holes reports data up to the end. */
uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole)
{
    struct stat status;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA), end;

    /* ENXIO: no data at or after the offset. That is a hole up to the end, or an offset
     * beyond the end of a file that has shrunk. */
    *hole = false;
    if (data < 0 && errno == ENXIO && fstat(fd, &status) == 0 &&
        (uint64_t)status.st_size >= size) {
        *hole = true;
        return size;
    }
    if (data < 0) /* not supported, or the file was cut, which reading it will report */
        return size;
    if ((uint64_t)data > offset) {
        *hole = true;
        return (uint64_t)data < size ? (uint64_t)data : size;
    }
    end = lseek(fd, (off_t)offset, SEEK_HOLE);
    return end > (off_t)offset && (uint64_t)end < size ? (uint64_t)end : size;
}

/* A host may keep its tools off the guests' processors (taskset, cgroups), so the affinity
 * mask counts. The call fails on machines with more processors than a cpu_set_t holds. */
unsigned os_processors(void)
{
    cpu_set_t allowed;
    long count;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return (unsigned)CPU_COUNT(&allowed);
    count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 1 ? (unsigned)count : 1;
}

/* O_PATH: search permission on the directory suffices. */
int os_open_directory(const char *path)
{
    return retry_open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Copies the attribute, of `size` bytes, from the file at a path. If it grows meanwhile,
 * getxattr() fails with ERANGE. */
static int copy_attribute(const char *path, size_t size, int fd)
{
    void *list = malloc(size);
    ssize_t length = list ? getxattr(path, ACL, list, size) : -1;
    int status = length < 0 ? -1 : fsetxattr(fd, ACL, list, (size_t)length, 0);
    int number = list ? errno : ENOMEM;

    free(list);
    errno = number;
    return status;
}

/* Attributes of a file opened with O_PATH can be read only through its name in /proc. */
static int copy_acl(int source, int fd, bool *has_list)
{
    char path[64];
    ssize_t size;

    snprintf(path, sizeof path, "/proc/self/fd/%d", source);
    size = getxattr(path, ACL, NULL, 0);
    *has_list = size > 0;
    if (size > 0)
        return copy_attribute(path, (size_t)size, fd);
    if (size < 0 && errno != ENODATA && errno != ENOTSUP)
        return -1;
    /* The new file may have inherited the directory's default list. */
    if (fremovexattr(fd, ACL) == 0 || errno == ENODATA || errno == ENOTSUP)
        return 0;
    return -1;
}

int os_copy_acl(int directory, const char *name, const struct stat *expected, int fd,
                bool *has_list)
{
    int source = retry_openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    int result = -1;

    if (source < 0)
        return -1;
    if (fstat(source, &status) == 0) {
        errno = EBUSY;
        if (status.st_dev == expected->st_dev && status.st_ino == expected->st_ino)
            result = copy_acl(source, fd, has_list);
    }
    os_close(source);
    return result;
}

#else
typedef int os_linux_is_unused; /* a file must not be empty */
#endif
