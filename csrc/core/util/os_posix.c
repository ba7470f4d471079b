/* The part of os.h that is the same on every POSIX system: time, waiting, closing. Both
 * waits end early on a signal; callers that must wait longer compare os_clock_ms() with
 * their deadline and call again. */
#include "util/os.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

int64_t os_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void os_sleep(int64_t milliseconds)
{
    struct timespec time = {.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_nsec = (long)(milliseconds % 1000 * 1000000)};

    nanosleep(&time, NULL);
}

bool os_wait_readable(int fd, int64_t milliseconds)
{
    enum { LONGEST = 1000000 }; /* poll() takes an int */
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    if (milliseconds < 0)
        milliseconds = 0;
    return poll(&ready, 1, milliseconds < LONGEST ? (int)milliseconds : LONGEST) > 0;
}

void os_close(int fd)
{
    int number = errno;

    close(fd);
    errno = number;
}
