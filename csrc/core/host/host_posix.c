/* The part of host.h that is the same on every POSIX system. */
#include "host/host_process.h"

#include <string.h>
#include <time.h>

int host_check_name(const char *executable, pid_t pid, const char *path,
                    struct qvm_error *err)
{
    const char *slash = strrchr(executable, '/');
    const char *name = slash ? slash + 1 : executable;

    if (strcmp(name, "qvm") == 0)
        return 0;
    return qvm_fail(err, QVM_NOT_QVM, "%s: served by process %ld, which is %s, not qvm",
                    path, (long)pid, name);
}

int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_sleep(int64_t milliseconds)
{
    struct timespec time = {.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_nsec = (long)(milliseconds % 1000 * 1000000)};

    nanosleep(&time, NULL);
}
