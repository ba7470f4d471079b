/* Retrying interrupted system calls. The calls here replace those of the C library: each
 * fails as often as the test says and records its arguments. */
/* Makes open and open64 different functions here; the test defines both. */
#undef _FILE_OFFSET_BITS

#include "util/retry.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

enum { RESULT = 1234 };

static struct {
    unsigned interrupted; /* calls to fail with EINTR */
    int number;           /* errno of the call after them; 0: it succeeds */
    unsigned calls;
    int directory, flags;
    char name[16];
    mode_t mode;
} fake;

static int fake_call(int success)
{
    if (fake.calls++ < fake.interrupted)
        errno = EINTR;
    else if (fake.number != 0)
        errno = fake.number;
    else
        return success;
    return -1;
}

static int fake_open(int directory, const char *name, int flags, mode_t mode)
{
    if (fake.calls > 0) /* the same as the first time */
        CHECK(fake.directory == directory && fake.flags == flags && fake.mode == mode &&
              strcmp(fake.name, name) == 0);
    fake.directory = directory;
    fake.flags = flags;
    fake.mode = mode;
    snprintf(fake.name, sizeof fake.name, "%s", name);
    return fake_call(RESULT);
}

/* Under each name that the C library's headers may call: with and without 64-bit offsets,
 * and with _FORTIFY_SOURCE. */
#define FAKE_OPEN(function)                         \
    int function(const char *path, int flags, ...); \
    int function(const char *path, int flags, ...)  \
    {                                               \
        return fake_open(AT_FDCWD, path, flags, 0); \
    }
#define FAKE_OPENAT(function)                                        \
    int function(int directory, const char *path, int flags, ...);   \
    int function(int directory, const char *path, int flags, ...)    \
    {                                                                \
        va_list rest;                                                \
        mode_t mode;                                                 \
                                                                     \
        va_start(rest, flags);                                       \
        mode = flags & O_CREAT ? (mode_t)va_arg(rest, unsigned) : 0; \
        va_end(rest);                                                \
        return fake_open(directory, path, flags, mode);              \
    }
#define FAKE_OPENAT_2(function)                               \
    int function(int directory, const char *path, int flags); \
    int function(int directory, const char *path, int flags)  \
    {                                                         \
        return fake_open(directory, path, flags, 0);          \
    }

FAKE_OPEN(open)
FAKE_OPEN(open64)
FAKE_OPEN(__open_2)
FAKE_OPEN(__open64_2)
FAKE_OPENAT(openat)
FAKE_OPENAT(openat64)
FAKE_OPENAT_2(__openat_2)
FAKE_OPENAT_2(__openat64_2)

int fsync(int fd);
int fsync(int fd)
{
    CHECK(fd == 7);
    return fake_call(0);
}

static int call_open(void)
{
    return retry_open("name", O_RDONLY | O_CLOEXEC);
}

static int call_openat(void)
{
    return retry_openat(5, "name", O_RDONLY | O_NOFOLLOW);
}

static int call_create(void)
{
    return retry_create(5, "name", 0640);
}

static int call_fsync(void)
{
    return retry_fsync(7);
}

static int start(int (*call)(void), unsigned interrupted, int number)
{
    memset(&fake, 0, sizeof fake);
    fake.interrupted = interrupted;
    fake.number = number;
    return call();
}

static void check_call(int (*call)(void), int success)
{
    for (unsigned interrupted = 0; interrupted < 100; interrupted += 33) {
        CHECK(start(call, interrupted, 0) == success);
        CHECK(fake.calls == interrupted + 1);
        CHECK(start(call, interrupted, EIO) == -1 && errno == EIO);
        CHECK(fake.calls == interrupted + 1);
    }
}

static void repeats_interrupted_calls(void)
{
    check_call(call_open, RESULT);
    check_call(call_openat, RESULT);
    check_call(call_create, RESULT);
    check_call(call_fsync, 0);
}

static void passes_arguments(void)
{
    const int create = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

    CHECK(start(call_open, 0, 0) == RESULT && strcmp(fake.name, "name") == 0);
    CHECK(fake.flags == (O_RDONLY | O_CLOEXEC));
    CHECK(start(call_openat, 0, 0) == RESULT && strcmp(fake.name, "name") == 0);
    CHECK(fake.directory == 5 && fake.flags == (O_RDONLY | O_NOFOLLOW));
    CHECK(start(call_create, 0, 0) == RESULT && strcmp(fake.name, "name") == 0);
    CHECK(fake.directory == 5 && fake.mode == 0640 && (fake.flags & create) == create);
}

int main(void)
{
    TEST(repeats_interrupted_calls);
    TEST(passes_arguments);
    return test_report();
}
