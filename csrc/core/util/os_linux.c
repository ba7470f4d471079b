/* The part of os.h for Linux: holes by lseek() with SEEK_DATA and SEEK_HOLE, which POSIX
 * has only since 2024. */
#if defined(__linux__)

#    define _GNU_SOURCE

#    include "util/os.h"

#    include <errno.h>
#    include <sys/stat.h>
#    include <unistd.h>

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

unsigned os_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 1 ? (unsigned)count : 1;
}

#else
typedef int os_is_another; /* a file must hold a declaration */
#endif
