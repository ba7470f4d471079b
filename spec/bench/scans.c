/* Bounds of scans of whole files. */
#define _GNU_SOURCE
#include "bound.h"

#include <stdbool.h>
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

static uint64_t different_bytes(const unsigned char *a, const unsigned char *b, size_t n)
{
    uint64_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += a[i] != b[i];
    return count;
}

static uint64_t different(size_t n, bool pages)
{
    uint64_t count = 0;

    if (memcmp(buffers[0], buffers[1], n) == 0)
        return 0;
    for (size_t i = 0; i < n; i += PAGE) {
        size_t part = n - i < PAGE ? n - i : PAGE;
        const unsigned char *a = buffers[0] + i, *b = buffers[1] + i;

        if (memcmp(a, b, part) != 0)
            count += pages ? PAGE : different_bytes(a, b, part);
    }
    return count;
}

/* FILE FILE GRANULARITY OFFSET: counts the bytes that differ after the offset, or the
 * bytes in pages that differ. Pages are counted from the offset. */
static uint64_t diff(void)
{
    int a = open_file(words[0]), b = open_file(words[1]);
    bool pages = strtoull(words[2], NULL, 0) > 1;
    uint64_t size = size_of(a), count = 0, at = strtoull(words[3], NULL, 0);

    while (at < size) {
        uint64_t data_a = next_data(a, at, size), data_b = next_data(b, at, size);
        uint64_t data = data_a < data_b ? data_a : data_b;
        size_t n;

        at += (data - at) / PAGE * PAGE;
        n = chunk_at(at, size);
        read_all(a, buffers[0], n, at);
        read_all(b, buffers[1], n, at);
        count += different(n, pages);
        at += n;
    }
    close(a);
    close(b);
    return count;
}

/* FILE END PATTERN: unpacks up to an offset and searches on the way. A pattern across the
 * edge of two chunks is not found. */
static uint64_t inflate_to(void)
{
    gzFile file = gzopen(words[0], "rb");
    uint64_t left = strtoull(words[1], NULL, 0), found = 0;
    size_t length = strlen(words[2]);
    int n = 1;

    if (!file)
        fail(words[0]);
    gzbuffer(file, CHUNK);
    while (left > 0 && n > 0) {
        n = gzread(file, buffers[0], left < CHUNK ? (unsigned)left : CHUNK);
        if (n < 0)
            fail(words[0]);
        if (length > 0)
            found += memmem(buffers[0], (size_t)n, words[2], length) != NULL;
        left -= (uint64_t)n;
    }
    gzclose(file);
    return found;
}

const struct work scan_works[] = {
    {"read", 1, NULL, read_data},     {"find", 2, NULL, find}, {"diff", 4, NULL, diff},
    {"inflate", 3, NULL, inflate_to}, {NULL, 0, NULL, NULL},
};
