/* Bounds of reading values from a mapping, singly and in sequence. */
#define _GNU_SOURCE
#include "bound.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const unsigned char *map_file(const char *path, uint64_t *size)
{
    int fd = open_file(path);
    void *base;

    *size = size_of(fd);
    base = mmap(NULL, *size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        fail(path);
    close(fd);
    return base;
}

/* Reads a whole file of numbers into allocated memory. */
static uint64_t *read_numbers(const char *path, size_t *count)
{
    int fd = open_file(path);
    uint64_t size = size_of(fd);
    uint64_t *numbers = malloc(size);

    if (!numbers || read(fd, numbers, size) != (ssize_t)size)
        fail(path);
    close(fd);
    *count = size / sizeof *numbers;
    return numbers;
}

/* Reading single values: FILE OFFSETS ------------------------------------------------- */

static const unsigned char *mapped;
static uint64_t *offsets;
static size_t offset_count;
static volatile uint64_t touched;

static void prepare_loads(void)
{
    uint64_t size, sum = 0;

    mapped = map_file(words[0], &size);
    offsets = read_numbers(words[1], &offset_count);
    for (uint64_t i = 0; i < size; i += PAGE)
        sum += mapped[i];
    touched = sum;
}

static inline uint64_t load(uint64_t offset)
{
    uint64_t value;

    memcpy(&value, mapped + offset, sizeof value);
    return value;
}

/* The processor can have many loads in flight. */
static uint64_t loads(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < offset_count; i++)
        sum ^= load(offsets[i]);
    return sum;
}

/* Each load waits for the value of the one before it, as in callers that depend on the
 * values. */
static uint64_t serial_loads(void)
{
    static volatile uint64_t nothing = 0;
    uint64_t sum = 0, mask = nothing, value = 0;

    for (size_t i = 0; i < offset_count; i++) {
        value = load(offsets[i] + (value & mask));
        sum ^= value;
    }
    return sum;
}

/* Copying out of a mapping: FILE OFFSET SIZE ------------------------------------------ */

static size_t copy_size;
static unsigned char *target;

static void *fresh(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        fail("mmap");
    return memory;
}

static void prepare_copy(void)
{
    uint64_t size;

    mapped = map_file(words[0], &size) + strtoull(words[1], NULL, 0);
    copy_size = strtoull(words[2], NULL, 0);
    target = fresh(copy_size);
    memcpy(target, mapped, copy_size);
}

static uint64_t last_word(const unsigned char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes + copy_size - sizeof value, sizeof value);
    return value;
}

static uint64_t copy_touched(void)
{
    memcpy(target, mapped, copy_size);
    return last_word(target);
}

static uint64_t copy_fresh(void)
{
    unsigned char *memory = fresh(copy_size);
    uint64_t value;

    memcpy(memory, mapped, copy_size);
    value = last_word(memory);
    munmap(memory, copy_size);
    return value;
}

const struct work load_works[] = {
    {"loads", 2, prepare_loads, loads},
    {"serial-loads", 2, prepare_loads, serial_loads},
    {"copy-touched", 3, prepare_copy, copy_touched},
    {"copy-fresh", 3, prepare_copy, copy_fresh},
    {NULL, 0, NULL, NULL},
};
