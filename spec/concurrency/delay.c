/* Preloaded into a script: waits up to half a millisecond before each of the calls that
 * find, inspect and signal a VM's process. So the process often dies in between, and its
 * ID is reused.
 *
 * Each function here replaces the C library's and calls the original through dlsym(). The
 * library under test is compiled for large files, hence the names with 64. */
#define _GNU_SOURCE
#include "../helpers/opens.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Delays half of the calls. */
static void delay(void)
{
    static unsigned seed;
    int saved = errno;

    if (seed == 0)
        seed = (unsigned)getpid();
    seed = seed * 1103515245u + 12345u;
    if (seed >> 16 & 1) {
        struct timespec time = {.tv_nsec = (long)((seed >> 8) % 500000)};
        nanosleep(&time, NULL);
    }
    errno = saved;
}

#define NEXT(name, type) \
    static type *next;   \
    if (!next)           \
    *(void **)&next = dlsym(RTLD_NEXT, name)

typedef int opener(const char *path, int flags, ...);
typedef int opener_at(int directory, const char *path, int flags, ...);
typedef ssize_t link_reader(int directory, const char *path, char *buffer, size_t size);
typedef long caller(long number, ...);
typedef int killer(pid_t pid, int number);

static int open_instead(const char *path, int flags, mode_t mode)
{
    NEXT("open", opener);
    if (strncmp(path, "/proc/", 6) == 0)
        delay();
    return next(path, flags, mode);
}

/* The intercepted calls only read, so there is no mode to pass on. */
static int openat_late(int directory, const char *path, int flags)
{
    NEXT("openat", opener_at);
    delay();
    return next(directory, path, flags);
}

int openat(int directory, const char *path, int flags, ...)
{
    return openat_late(directory, path, flags);
}

int openat64(int directory, const char *path, int flags, ...)
{
    return openat_late(directory, path, flags);
}

ssize_t readlinkat(int directory, const char *path, char *buffer, size_t size)
{
    NEXT("readlinkat", link_reader);
    delay();
    return next(directory, path, buffer, size);
}

/* pidfd_send_signal() goes through this; it has four arguments. */
long syscall(long number, ...)
{
    va_list rest;
    long a, b, c, d;

    NEXT("syscall", caller);
    va_start(rest, number);
    a = va_arg(rest, long);
    b = va_arg(rest, long);
    c = va_arg(rest, long);
    d = va_arg(rest, long);
    va_end(rest);
    delay();
    return next(number, a, b, c, d);
}

int kill(pid_t pid, int number)
{
    NEXT("kill", killer);
    delay();
    return next(pid, number);
}
