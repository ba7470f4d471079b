/* Bounds of scans of whole files. */
#define _GNU_SOURCE
#include "bound.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 256 << 10, PAGE = 4096 };

static unsigned char buffers[2][CHUNK];

static void read_all(int fd, unsigned char *to, size_t n, uint64_t offset)
{
    if (pread(fd, to, n, (off_t)offset) != (ssize_t)n)
        fail("pread");
}

static uint64_t next_data(int fd, uint64_t offset, uint64_t size)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

    return data < 0 ? size : (uint64_t)data;
}

static size_t chunk_at(uint64_t offset, uint64_t size)
{
    return size - offset < CHUNK ? (size_t)(size - offset) : CHUNK;
}

/* FILE: only reads. */
static uint64_t read_data(void)
{
    int fd = open_file(words[0]);
    uint64_t size = size_of(fd), total = 0;

    for (uint64_t at = next_data(fd, 0, size); at < size; at = next_data(fd, at, size)) {
        size_t n = chunk_at(at, size);

        read_all(fd, buffers[0], n, at);
        at += n;
        total += n;
    }
    close(fd);
    return total;
}

/* FILE PATTERN: how often it is there. The end of each chunk is read again with the next.
 */
static uint64_t find(void)
{
    int fd = open_file(words[0]);
    const char *pattern = words[1];
    size_t length = strlen(pattern);
    uint64_t size = size_of(fd), found = 0;

    for (uint64_t at = next_data(fd, 0, size); at < size; at = next_data(fd, at, size)) {
        size_t n = chunk_at(at, size);
        const unsigned char *hit = buffers[0];

        read_all(fd, buffers[0], n, at);
        while ((hit = memmem(hit, n - (size_t)(hit - buffers[0]), pattern, length))) {
            found++;
            hit++;
        }
        at += at + n == size ? n : n - (length - 1);
    }
    close(fd);
    return found;
}

static uint64_t different(size_t n)
{
    uint64_t count = 0;

    for (size_t i = 0; i < n; i += PAGE) {
        size_t end = n - i < PAGE ? n : i + PAGE;

        if (memcmp(buffers[0] + i, buffers[1] + i, end - i) != 0)
            for (size_t at = i; at < end; at++)
                count += buffers[0][at] != buffers[1][at];
    }
    return count;
}

/* FILE FILE OFFSET: counts the bytes that differ after the offset. */
static uint64_t diff(void)
{
    int a = open_file(words[0]), b = open_file(words[1]);
    uint64_t size = size_of(a), count = 0, at = strtoull(words[2], NULL, 0);

    while (at < size) {
        uint64_t data_a = next_data(a, at, size), data_b = next_data(b, at, size);
        size_t n;

        at = data_a < data_b ? data_a : data_b;
        n = chunk_at(at, size);
        if (n == 0)
            break;
        read_all(a, buffers[0], n, at);
        read_all(b, buffers[1], n, at);
        if (memcmp(buffers[0], buffers[1], n) != 0)
            count += different(n);
        at += n;
    }
    close(a);
    close(b);
    return count;
}

/* FILE END: unpacks up to an offset, a multiple of 8. Returns the last value before it. */
static uint64_t inflate_to(void)
{
    gzFile file = gzopen(words[0], "rb");
    uint64_t left = strtoull(words[1], NULL, 0), value = 0;

    if (!file)
        fail(words[0]);
    gzbuffer(file, CHUNK);
    while (left > 0) {
        int n = gzread(file, buffers[0], left < CHUNK ? (unsigned)left : CHUNK);

        if (n < (int)sizeof value)
            fail(words[0]);
        memcpy(&value, buffers[0] + n - sizeof value, sizeof value);
        left -= (uint64_t)n;
    }
    gzclose(file);
    return value;
}

const struct work scan_works[] = {
    {"read", 1, NULL, read_data},     {"find", 2, NULL, find}, {"diff", 3, NULL, diff},
    {"inflate", 2, NULL, inflate_to}, {NULL, 0, NULL, NULL},
};
