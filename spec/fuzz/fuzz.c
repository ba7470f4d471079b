#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_die(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

static int fds[FUZZ_FILES];
static char paths[FUZZ_FILES][32];

const char *fuzz_file(unsigned number, const void *bytes, size_t n)
{
    if (number == 0)
        fuzz_limits_begin();
    if (fds[number] == 0) {
        fds[number] = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(fds[number] > 0);
        snprintf(paths[number], sizeof paths[number], "/proc/self/fd/%d", fds[number]);
    }
    MUST(ftruncate(fds[number], 0) == 0);
    fuzz_file_put(number, 0, bytes, n);
    return paths[number];
}

void fuzz_file_put(unsigned number, uint64_t offset, const void *bytes, size_t n)
{
    MUST(n == 0 || pwrite(fds[number], bytes, n, (off_t)offset) == (ssize_t)n);
}

void fuzz_file_extend(unsigned number, uint64_t size)
{
    MUST(ftruncate(fds[number], (off_t)size) == 0);
}

struct qvm_error *fuzz_error(void)
{
    static struct qvm_error err;

    memset(&err, 0x5a, sizeof err);
    return &err;
}

void fuzz_failed(const struct qvm_error *err, const char *text)
{
    char message[QVM_MESSAGE_SIZE];

    MUST((unsigned)err->code < QVM_INCOMPLETE);
    memset(message, 0x5a, sizeof message);
    MUST(qvm_error_text(err, message, sizeof message) < sizeof message);
    MUST(memchr(message, '\0', sizeof message) != NULL);
    MUST(strstr(message, text) != NULL);
}

/* Inputs are small: an operation that needs more calls never ends. */
enum { CALLS_MAX = 1 << 16 };

struct dump *fuzz_open(const char *path, bool partial)
{
    struct qvm_error *err = fuzz_error();
    struct dump *dump = dump_open(path, partial, err);
    int status = -1;

    if (dump) {
        for (int calls = 0; (status = dump_load(dump, err)) != 0; calls++) {
            if (err->code != QVM_INCOMPLETE)
                break;
            MUST(calls < CALLS_MAX);
        }
        if (status == 0)
            return dump;
        dump_close(dump);
    }
    fuzz_failed(err, path);
    return NULL;
}

int fuzz_read(const struct dump *dump, uint64_t address, void *to, size_t n)
{
    struct qvm_error *err = fuzz_error();

    for (int calls = 0; dump_read(dump, address, to, n, err) != 0; calls++) {
        if (err->code != QVM_INCOMPLETE) {
            fuzz_failed(err, dump->file.path);
            return -1;
        }
        MUST(calls < CALLS_MAX);
    }
    return 0;
}

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && input->left > 0; i++, input->left--)
        value |= (uint64_t)*input->at++ << 8 * i;
    return value;
}

uint64_t fuzz_hash(const uint8_t *data, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* splitmix64 */
uint64_t fuzz_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fuzz_odd(uint64_t *state, uint64_t near)
{
    uint64_t few = fuzz_random(state) % 9 - 4;

    switch (fuzz_random(state) % 8) {
    case 0: return few;
    case 1: return near + few;
    case 2: return (UINT64_C(1) << fuzz_random(state) % 64) + few;
    case 3: return UINT64_C(0x7fffffff) + few;
    case 4: return UINT64_C(0x8000000000000000) + few;
    case 5: return fuzz_random(state) % 4096;
    case 6: return near - fuzz_random(state) % (near ? near : 1);
    default: return fuzz_random(state) >> fuzz_random(state) % 64;
    }
}
