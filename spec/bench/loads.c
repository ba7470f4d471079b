/* Bounds of reading values: at the offsets that a file of numbers lists, and in a row. */
#define _GNU_SOURCE
#include "bound.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const unsigned char *mapped;
static uint64_t mapped_size;

static void map_file(const char *path)
{
    int fd = open_file(path);
    void *base;

    mapped_size = size_of(fd);
    base = mmap(NULL, mapped_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        fail(path);
    close(fd);
    mapped = base;
}

/* Reading single values: FILE OFFSETS ------------------------------------------------- */

static uint64_t *offsets;
static size_t offset_count;

static void read_offsets(void)
{
    int fd = open_file(words[1]);
    uint64_t size = size_of(fd);

    offsets = malloc(size);
    if (!offsets || read(fd, offsets, size) != (ssize_t)size)
        fail(words[1]);
    close(fd);
    offset_count = size / sizeof *offsets;
}

/* Each value by pread() of its page. The offsets are multiples of 8. */
static uint64_t first_touch(void)
{
    int fd = open_file(words[0]);
    unsigned char page[PAGE];
    uint64_t sum = 0, value;

    for (size_t i = 0; i < offset_count; i++) {
        uint64_t within = offsets[i] % PAGE;

        if (pread(fd, page, PAGE, (off_t)(offsets[i] - within)) <= (ssize_t)within)
            fail(words[0]);
        memcpy(&value, page + within, sizeof value);
        sum ^= value;
    }
    close(fd);
    return sum;
}

static void prepare_loads(void)
{
    map_file(words[0]);
    read_offsets();
}

/* Each load waits for the value of the one before it, as in callers that depend on the
 * values. */
static uint64_t serial_loads(void)
{
    static volatile uint64_t nothing = 0;
    uint64_t sum = 0, mask = nothing, value = 0;

    for (size_t i = 0; i < offset_count; i++) {
        memcpy(&value, mapped + offsets[i] + (value & mask), sizeof value);
        sum ^= value;
    }
    return sum;
}

/* Copying out of a mapping: FILE OFFSET SIZE ------------------------------------------ */

static size_t copy_size;
static unsigned char *target;

static void prepare_copy(void)
{
    map_file(words[0]);
    mapped += strtoull(words[1], NULL, 0);
    copy_size = strtoull(words[2], NULL, 0);
    target = malloc(copy_size);
    if (!target)
        fail("malloc");
}

static uint64_t copy(void)
{
    uint64_t value;

    memcpy(target, mapped, copy_size);
    memcpy(&value, target + copy_size - sizeof value, sizeof value);
    return value;
}

const struct work load_works[] = {
    {"first-touch", 2, read_offsets, first_touch},
    {"serial-loads", 2, prepare_loads, serial_loads},
    {"copy", 3, prepare_copy, copy},
    {NULL, 0, NULL, NULL},
};
