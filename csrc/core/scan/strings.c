#include "scan/strings.h"

#include "dump/extent.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 << 10, BLOCK = 64 };

/* What one step does at most. */
enum { STEP = 32 << 20, EXTENTS = 4096, FOUND_MAX = 16384 };

static inline bool is_printable(unsigned char byte)
{
    return (unsigned char)(byte - ' ') <= '~' - ' ' || byte == '\t';
}

static int keep(struct strings *strings, const unsigned char *bytes, size_t n)
{
    if (n > strings->room - strings->size) {
        size_t room = 2 * strings->room + n;
        char *text = realloc(strings->text, room);

        if (!text)
            return -1;
        strings->text = text;
        strings->room = room;
    }
    memcpy(strings->text + strings->size, bytes, n);
    strings->size += n;
    return 0;
}

/* Gives the open string up: as a result, if it is long enough. */
static int finish(struct strings *strings)
{
    size_t n = strings->open;

    strings->open = 0;
    if (n > 0 && (n >= strings->min || strings->run))
        return results_add(&strings->found, strings->start, n);
    strings->size -= n;
    return 0;
}

/* Adds n printable bytes at an address to the open string, or opens one. */
static int extend(struct strings *strings, const unsigned char *bytes, size_t n,
                  uint64_t address)
{
    while (n > 0) {
        size_t room = STRINGS_PART - strings->open, part = n < room ? n : room;

        if (strings->open == 0)
            strings->start = address;
        if (keep(strings, bytes, part) != 0)
            return -1;
        strings->open += part;
        bytes += part;
        address += part;
        n -= part;
        if (strings->open == STRINGS_PART) {
            if (finish(strings) != 0)
                return -1;
            strings->run = true;
        }
    }
    return 0;
}

static int close_string(struct strings *strings)
{
    int status = finish(strings);

    strings->run = false;
    return status;
}

/* Is any of BLOCK bytes printable? Written for the compiler's vectors. */
static bool block_has(const unsigned char *bytes)
{
    unsigned char found = 0;

    for (int i = 0; i < BLOCK; i++)
        found |= (unsigned char)(((unsigned char)(bytes[i] - ' ') <= '~' - ' ') |
                                 (bytes[i] == '\t'));
    return found != 0;
}

/* From i on, outside a string: where `min` printable bytes begin, or, at the end, fewer
 * that may go on behind it; else n. Most bytes that are not printable are never looked at.
 */
static size_t find_start(const unsigned char *bytes, size_t i, size_t n, size_t min)
{
    size_t known = i; /* from i up to here all are printable */
    size_t check = i;

    while (n - i >= min) {
        size_t k = i + min;

        if (i >= check && n - i >= BLOCK) {
            check = i + BLOCK;
            if (!block_has(bytes + i)) {
                i = known = check;
                continue;
            }
        }
        while (k > known && is_printable(bytes[k - 1]))
            k--;
        if (k <= known)
            return i;
        known = i + min;
        i = k;
    }
    if (known < i)
        known = i;
    while (n > known && is_printable(bytes[n - 1]))
        n--;
    return n == known ? i : n;
}

static int feed(struct strings *strings, const unsigned char *bytes, size_t n,
                uint64_t address)
{
    size_t start = 0, end;

    if (strings->open == 0 && !strings->run)
        start = find_start(bytes, 0, n, strings->min);
    while (start < n) {
        for (end = start; end < n && is_printable(bytes[end]);)
            end++;
        if (extend(strings, bytes + start, end - start, address + start) != 0)
            return -1;
        if (end == n)
            return 0;
        if (close_string(strings) != 0)
            return -1;
        start = find_start(bytes, end, n, strings->min);
    }
    return 0;
}

/* Reads on within data. How many bytes, or 0: failed. */
static size_t read_on(struct strings *strings, uint64_t last, struct qvm_error *err)
{
    uint64_t left = last - strings->next;
    size_t n = left < CHUNK ? (size_t)left + 1 : CHUNK;

    if (dump_read(strings->dump, strings->next, strings->buffer, n, err) != 0)
        return 0;
    if (feed(strings, strings->buffer, n, strings->next) != 0) {
        qvm_fail_memory(err, strings->dump->file.path);
        return 0;
    }
    return n;
}

/* To where the string began that was open before what has failed. What was found before is
 * left as it was. */
static void rewind_to(struct strings *strings, const struct strings *before)
{
    strings->next = before->open ? before->start : before->next;
    strings->finished = false;
    strings->size = before->size - before->open;
    strings->open = 0;
    strings->run = before->run;
    strings->found.count = before->found.count;
}

/* Goes on with one piece of memory. How many bytes were read, or -1. */
static int64_t go_on(struct strings *strings, struct qvm_error *err)
{
    struct extent extent = extent_at(strings->dump, strings->next, strings->last);
    const struct strings before = *strings;
    uint64_t passed = extent.last;
    size_t n = 0;

    if (extent.kind == EXTENT_DATA) {
        n = read_on(strings, extent.last, err);
        if (n == 0) {
            rewind_to(strings, &before);
            return -1;
        }
        passed = strings->next + (n - 1);
    }
    strings->finished = passed >= strings->last;
    if (!strings->finished)
        strings->next = passed + 1;
    if ((strings->finished || extent.kind != EXTENT_DATA) && close_string(strings) != 0) {
        rewind_to(strings, &before);
        return qvm_fail_memory(err, strings->dump->file.path);
    }
    return (int64_t)n;
}

int strings_step(struct strings *strings, struct qvm_error *err)
{
    int64_t done = 0, n;

    memmove(strings->text, strings->text + (strings->size - strings->open), strings->open);
    strings->size = strings->open;
    strings->found.count = 0;
    if (strings->finished)
        return 0;
    for (unsigned extents = 0; !strings->finished && extents < EXTENTS && done < STEP &&
                               strings->found.count < FOUND_MAX;
         extents++) {
        n = go_on(strings, err);
        if (n < 0) /* first what was found */
            return strings->found.count > 0 ? 1 : -1;
        done += n;
    }
    return 1;
}

int strings_init(struct strings *strings, const struct dump *dump, size_t min,
                 uint64_t first, uint64_t last, struct qvm_error *err)
{
    *strings = (struct strings){.dump = dump,
                                .min = min,
                                .next = first,
                                .last = last,
                                .finished = first > last,
                                .room = CHUNK};
    strings->text = malloc(strings->room);
    strings->buffer = malloc(CHUNK);
    if (strings->text && strings->buffer)
        return 0;
    strings_free(strings);
    return qvm_fail_memory(err, dump->file.path);
}

void strings_free(struct strings *strings)
{
    free(strings->text);
    free(strings->buffer);
    strings->text = NULL;
    strings->buffer = NULL;
    results_free(&strings->found);
}
