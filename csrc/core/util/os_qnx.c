/* The part of os.h for QNX. Written from QNX's public documentation; never run on a QNX
 * system.
 *
 * What the documentation does not describe is left out: lseek() has no SEEK_DATA there, so
 * files have no holes, and access lists are not copied. The number of processors is that
 * of the system page; a runmask that excludes some of them is not taken into account. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "util/os.h"
#    include "util/retry.h"

#    include <fcntl.h>
#    include <sys/syspage.h>

uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole)
{
    (void)fd;
    (void)offset;
    *hole = false;
    return size;
}

/* No O_PATH here, so the directory must be readable. */
int os_open_directory(const char *path)
{
    return retry_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int os_copy_acl(int directory, const char *name, const struct stat *expected, int fd,
                bool *has_list)
{
    (void)directory;
    (void)name;
    (void)expected;
    (void)fd;
    *has_list = false;
    return 0;
}

unsigned os_processors(void)
{
    return _syspage_ptr->num_cpu;
}

#else
typedef int os_qnx_is_unused; /* a file must not be empty */
#endif
