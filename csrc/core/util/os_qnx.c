/* The part of os.h for QNX. Never run on a QNX system. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "util/os.h"
#    include "util/retry.h"

#    include <fcntl.h>
#    include <sys/syspage.h>

/* The documentation of lseek() knows no holes. */
uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole)
{
    (void)fd;
    (void)offset;
    *hole = false;
    return size;
}

int os_open_directory(const char *path)
{
    return retry_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int os_keep_acl(int directory, const char *name, const struct stat *expected, int fd,
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
typedef int os_is_another; /* a file must hold a declaration */
#endif
