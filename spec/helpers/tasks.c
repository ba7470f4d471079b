/* Preloaded into a script by a spec: /proc/PID/task/TID/NAME, opened relative to the
 * process's directory, is the file NAME in $QVM_TASKS instead. So a spec decides what the
 * kernel says about threads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef int opener(int directory, const char *path, int flags, ...);

static int open_instead(int directory, const char *path, int flags, mode_t mode)
{
    const char *instead = getenv("QVM_TASKS");
    char file[4096];
    opener *next;

    *(void **)&next = dlsym(RTLD_NEXT, "openat");
    if (!instead || strncmp(path, "task/", 5) != 0)
        return next(directory, path, flags, mode);
    snprintf(file, sizeof file, "%s/%s", instead, strrchr(path, '/') + 1);
    return next(AT_FDCWD, file, flags, mode);
}

#define INSTEAD_OF(name)                                      \
    int name(int directory, const char *path, int flags, ...) \
    {                                                         \
        va_list rest;                                         \
        mode_t mode;                                          \
                                                              \
        va_start(rest, flags);                                \
        mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;    \
        va_end(rest);                                         \
        return open_instead(directory, path, flags, mode);    \
    }

INSTEAD_OF(openat)
INSTEAD_OF(openat64)

/* With _FORTIFY_SOURCE, glibc's headers turn openat(directory, path, flags) into these. */
#define FORTIFIED_INSTEAD_OF(name)                        \
    int name(int directory, const char *path, int flags); \
    int name(int directory, const char *path, int flags)  \
    {                                                     \
        return open_instead(directory, path, flags, 0);   \
    }

FORTIFIED_INSTEAD_OF(__openat_2)
FORTIFIED_INSTEAD_OF(__openat64_2)
