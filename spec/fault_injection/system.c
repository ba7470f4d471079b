/* System calls that fail according to the plan, transfer less than requested, or are
 * delayed. Each function here replaces the C library's and calls the original through
 * dlsym(). The macros generate those that differ only in their parameters; the names with
 * 64 are used by programs compiled for large files. */
#include "fault_injection.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 32 };

static const char *names[NAMES];
static atomic_long counts[NAMES];

static void count(const char *name)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (!names[i])
            names[i] = name;
        if (strcmp(names[i], name) == 0) {
            counts[i]++;
            return;
        }
    }
}

const char *system_name(unsigned index, long *number)
{
    if (index >= NAMES || !names[index])
        return NULL;
    *number = counts[index];
    return names[index];
}

void system_reset(void)
{
    for (unsigned i = 0; i < NAMES; i++)
        counts[i] = 0;
}

/* The action for a call of this name: CONTINUE, FAIL with errno, or SHORT. */
enum { CONTINUE = 0, FAIL = -2 };

static int fault(const char *name)
{
    if (!plan.what)
        return CONTINUE;
    count(name);
    if (!plan_takes(name))
        return CONTINUE;
    if (plan.number == SLOW) {
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
        return CONTINUE;
    }
    if (plan.number == SHORT)
        return SHORT;
    errno = plan.number;
    return FAIL;
}

#define NEXT(name)                 \
    static __typeof__(name) *next; \
    if (!next)                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

/* A function that reports a failure with the value `failure` and errno. */
#define CALL(type, symbol, label, failure, parameters, ...)        \
    type symbol parameters                                         \
    {                                                              \
        NEXT(symbol);                                              \
        return fault(label) == FAIL ? failure : next(__VA_ARGS__); \
    }

/* A function that transfers up to `n` bytes. */
#define TRANSFER(symbol, label, parameters, ...)     \
    ssize_t symbol parameters                        \
    {                                                \
        int how = fault(label);                      \
        NEXT(symbol);                                \
        if (how == SHORT && n > 1)                   \
            n = 1 + n / 3;                           \
        return how == FAIL ? -1 : next(__VA_ARGS__); \
    }

#define OPEN(symbol)                                                 \
    int symbol(const char *path, int flags, ...)                     \
    {                                                                \
        va_list rest;                                                \
        mode_t mode;                                                 \
        NEXT(symbol);                                                \
        va_start(rest, flags);                                       \
        mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;           \
        va_end(rest);                                                \
        return fault("open") == FAIL ? -1 : next(path, flags, mode); \
    }

#define OPENAT(symbol)                                               \
    int symbol(int at, const char *path, int flags, ...)             \
    {                                                                \
        NEXT(symbol);                                                \
        return fault("openat") == FAIL ? -1 : next(at, path, flags); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
TRANSFER(read, "read", (int fd, void *to, size_t n), fd, to, n)
TRANSFER(pread, "pread", (int fd, void *to, size_t n, off_t at), fd, to, n, at)
TRANSFER(pread64, "pread", (int fd, void *to, size_t n, off64_t at), fd, to, n, at)
TRANSFER(write, "write", (int fd, const void *from, size_t n), fd, from, n)
CALL(int, stat, "stat", -1, (const char *path, struct stat *to), path, to)
CALL(int, stat64, "stat", -1, (const char *path, struct stat64 *to), path, to)
CALL(int, fstat, "fstat", -1, (int fd, struct stat *to), fd, to)
CALL(int, fstat64, "fstat", -1, (int fd, struct stat64 *to), fd, to)
CALL(int, fstatat, "fstatat", -1, (int at, const char *path, struct stat *to, int flags),
     at, path, to, flags)
CALL(int, fstatat64, "fstatat", -1,
     (int at, const char *path, struct stat64 *to, int flags), at, path, to, flags)
CALL(off_t, lseek, "lseek", -1, (int fd, off_t offset, int from), fd, offset, from)
CALL(off64_t, lseek64, "lseek", -1, (int fd, off64_t offset, int from), fd, offset, from)
CALL(int, fsync, "fsync", -1, (int fd), fd)
CALL(int, rename, "rename", -1, (const char *from, const char *to), from, to)
CALL(int, renameat, "rename", -1, (int at, const char *from, int to_at, const char *to), at,
     from, to_at, to)
CALL(int, mkdir, "mkdir", -1, (const char *path, mode_t mode), path, mode)
CALL(int, mkdirat, "mkdir", -1, (int at, const char *path, mode_t mode), at, path, mode)
CALL(int, lstat, "stat", -1, (const char *path, struct stat *to), path, to)
CALL(int, lstat64, "stat", -1, (const char *path, struct stat64 *to), path, to)
CALL(int, fchmod, "fchmod", -1, (int fd, mode_t mode), fd, mode)
CALL(DIR *, opendir, "opendir", NULL, (const char *path), path)
CALL(struct dirent *, readdir, "readdir", NULL, (DIR * directory), directory)
CALL(struct dirent64 *, readdir64, "readdir", NULL, (DIR * directory), directory)
CALL(FILE *, fdopen, "fdopen", NULL, (int fd, const char *mode), fd, mode)
CALL(FILE *, fopen, "fopen", NULL, (const char *path, const char *mode), path, mode)
CALL(FILE *, fopen64, "fopen", NULL, (const char *path, const char *mode), path, mode)
CALL(int, poll, "poll", -1, (struct pollfd * list, nfds_t n, int wait), list, n, wait)
CALL(int, inotify_init1, "inotify_init1", -1, (int flags), flags)
CALL(int, inotify_add_watch, "inotify_add_watch", -1,
     (int fd, const char *path, uint32_t mask), fd, path, mask)
CALL(ssize_t, readlinkat, "readlinkat", -1, (int at, const char *path, char *to, size_t n),
     at, path, to, n)

/* The descriptor is closed despite the error, as on Linux. */
int close(int fd)
{
    int how = fault("close");
    int number = errno;

    NEXT(close);
    if (how != FAIL)
        return next(fd);
    next(fd);
    errno = number;
    return -1;
}

/* Returns its error number and leaves errno alone. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *run(void *),
                   void *argument)
{
    NEXT(pthread_create);
    return fault("pthread_create") == FAIL ? plan.number
                                           : next(thread, attributes, run, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list rest;
    void *argument;

    NEXT(fcntl64);
    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    return fault("fcntl") == FAIL ? -1 : next(fd, command, argument);
}

/* Inside the C library, stdio does not call the read() above. */
static bool lost(FILE *file, const char *label)
{
    if (fault(label) != FAIL)
        return false;
    fseek(file, 0, SEEK_CUR);
    return true;
}

/* Makes ferror() report an error by setting glibc's flag. */
static void set_error(FILE *file)
{
    file->_flags |= 0x20;
}

size_t fread(void *to, size_t size, size_t n, FILE *file)
{
    NEXT(fread);
    if (!lost(file, "fread"))
        return next(to, size, n, file);
    set_error(file);
    return 0;
}

char *fgets(char *to, int n, FILE *file)
{
    NEXT(fgets);
    if (!lost(file, "fgets"))
        return next(to, n, file);
    set_error(file);
    return NULL;
}
