/* What the operating system provides to everyone: a clock, holes in files, processors.
 * os_posix.c is for every system, os_linux.c and os_qnx.c are for one each. */
#ifndef QVM_OS_H
#define QVM_OS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Milliseconds of a clock that only goes forward. */
int64_t os_clock_ms(void);

/* Waits; returns early when a signal arrives, so that a script stays interruptible. */
void os_sleep(int64_t milliseconds);

/* Processors that this process may run on; 1 if the system does not say. */
unsigned os_processors(void);

/* End of the hole or data run of a file that contains `offset`, at most `size`; `hole` says
 * which it is. On a system without holes everything is data. */
uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole);

/* Opens a directory only to reach what is in it: a descriptor, closed on exec, or -1 and
 * errno. */
int os_open_directory(const char *path);

/* Gives an open file the access list of the file `name` in a directory, or none if that has
 * none; has_list says whether it has one. 0, or -1 and errno: EBUSY where that file is not
 * the expected one. Where the system's lists are not known, files are left as they are. */
int os_keep_acl(int directory, const char *name, const struct stat *expected, int fd,
                bool *has_list);

#endif
