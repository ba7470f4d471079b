/* Services of the operating system that POSIX.1-2008 does not fully provide: a clock, holes
 * in files, access lists, processors. os_posix.c serves every system; os_linux.c and
 * os_qnx.c serve one each. */
#ifndef QVM_OS_H
#define QVM_OS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Milliseconds of a clock that only goes forward. Deadlines are times of this clock. */
int64_t os_clock_ms(void);

/* Sleeps; returns early when a signal arrives, so that a script stays interruptible. */
void os_sleep(int64_t milliseconds);

/* Waits until `fd` can be read, a signal arrives or the time is over; a negative time does
 * not wait. True if `fd` can be read or has reached its end or an error. */
bool os_wait_readable(int fd, int64_t milliseconds);

/* Closes a descriptor and leaves errno as it was, for use after a call that failed. */
void os_close(int fd);

/* Number of processors that this process may run on; 1 if the system does not say. */
unsigned os_processors(void);

/* End of the hole or data run of a file that contains `offset`, at most `size`; `hole` says
 * which of the two it is. On a system without holes everything is data. */
uint64_t os_file_extent(int fd, uint64_t offset, uint64_t size, bool *hole);

/* Opens a directory as a base for openat() and the like; it need not be readable. Returns a
 * descriptor, closed on exec, or -1 and errno. */
int os_open_directory(const char *path);

/* Gives the open file `fd` the access list of the file `name` in a directory, or no list if
 * that file has none; has_list says whether it has one. Returns 0, or -1 and errno: EBUSY
 * if `name` is no longer the file `expected`. On a system whose access lists are not
 * supported, does nothing. */
int os_copy_acl(int directory, const char *name, const struct stat *expected, int fd,
                bool *has_list);

#endif
