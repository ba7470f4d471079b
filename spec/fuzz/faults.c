/* Failures that no input causes: the linker replaces the functions with these
 * (--wrap). pread is pread64 in object files, as offsets have 64 bits. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { MEMORY, READ_FAILS, READ_INTERRUPTED, READ_SHORT, THREAD, KINDS };

static _Atomic int
    left[KINDS]; /* calls up to and including the one that fails; 0: none fails */

void fuzz_faults(uint64_t seed)
{
    uint64_t which = seed / KINDS;

    left[seed % KINDS] = 1 + (int)(which / 2 % (which % 2 ? 4 : 32));
}

void fuzz_faults_end(void)
{
    for (int i = 0; i < KINDS; i++)
        left[i] = 0;
}

static bool strikes(enum kind kind)
{
    return left[kind] > 0 && atomic_fetch_sub(&left[kind], 1) == 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void __wrap_free(void *block);
ssize_t __real_pread64(int fd, void *to, size_t n, off_t offset);
ssize_t __real_read(int fd, void *to, size_t n);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t offset);
ssize_t __wrap_read(int fd, void *to, size_t n);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);

/* The memory that the core has allocated. Exceeding FUZZ_COST_MEMORY, or
 * FUZZ_COST_READS calls that read for one input, is a crash: no input justifies that. */
static _Atomic size_t used;
static _Atomic unsigned reads;

void fuzz_limits_begin(void)
{
    reads = 0;
}

static void *account(void *block)
{
    if (block)
        MUST(atomic_fetch_add(&used, malloc_usable_size(block)) < FUZZ_COST_MEMORY);
    return block;
}

void __wrap_free(void *block)
{
    if (block)
        used -= malloc_usable_size(block);
    __real_free(block);
}

void *__wrap_malloc(size_t size)
{
    return strikes(MEMORY) ? NULL : account(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes(MEMORY) ? NULL : account(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    size_t before = old ? malloc_usable_size(old) : 0;
    void *block = strikes(MEMORY) ? NULL : __real_realloc(old, size);

    if (block)
        used -= before;
    return account(block);
}

char *__wrap_strdup(const char *text)
{
    return strikes(MEMORY) ? NULL : account(__real_strdup(text));
}

/* The action of a read: 0 for the requested one, else -1. */
static int read_fault(size_t *n)
{
    if (strikes(READ_SHORT) && *n > 1)
        *n /= 2;
    errno = strikes(READ_FAILS) ? EIO : strikes(READ_INTERRUPTED) ? EINTR : 0;
    return errno ? -1 : 0;
}

ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t offset)
{
    MUST(++reads < FUZZ_COST_READS);
    return read_fault(&n) != 0 ? -1 : __real_pread64(fd, to, n, offset);
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
    return read_fault(&n) != 0 ? -1 : __real_read(fd, to, n);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument)
{
    return strikes(THREAD) ? EAGAIN
                           : __real_pthread_create(thread, attributes, run, argument);
}
