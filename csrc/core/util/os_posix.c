/* The part of os.h that is the same on every POSIX system. */
#include "util/os.h"

#include <time.h>

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
