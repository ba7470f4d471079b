#include "dump/memory_map.h"

#include <stdlib.h>

/* A segment's memory, and its place in the file's order. */
struct source {
    uint64_t first, last, offset;
    unsigned index;
};

static int by_address(const void *a, const void *b)
{
    const struct source *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* A writer that left a segment's data out has set the offset to -1: its memory was not
 * zeros. */
static bool has_zeros(const struct elf_segment *segment)
{
    return segment->memsz > segment->filesz && segment->offset != UINT64_MAX;
}

static size_t collect(struct source *sources, const struct elf *elf, bool zeros)
{
    size_t count = 0;

    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        if (s->type != ELF_PT_LOAD)
            continue;
        if (s->filesz > 0)
            sources[count++] = (struct source){.first = s->paddr,
                                               .last = s->paddr + (s->filesz - 1),
                                               .offset = s->offset,
                                               .index = i};
        if (zeros && has_zeros(s))
            sources[count++] = (struct source){.first = s->paddr + s->filesz,
                                               .last = s->paddr + (s->memsz - 1),
                                               .offset = PIECE_ZEROS,
                                               .index = i};
    }
    qsort(sources, count, sizeof *sources, by_address);
    return count;
}

/* The sources that cover the sweep's address, as a heap with the winner (the lowest index)
 * on top; those that have ended stay in it until they come to the top. */
struct heap {
    const struct source **items;
    size_t count;
};

static void swap(struct heap *heap, size_t a, size_t b)
{
    const struct source *item = heap->items[a];

    heap->items[a] = heap->items[b];
    heap->items[b] = item;
}

static void heap_push(struct heap *heap, const struct source *source)
{
    size_t i = heap->count++;

    heap->items[i] = source;
    for (; i > 0 && heap->items[i]->index < heap->items[(i - 1) / 2]->index;
         i = (i - 1) / 2)
        swap(heap, i, (i - 1) / 2);
}

static void heap_pop(struct heap *heap)
{
    size_t i = 0, child;

    heap->items[0] = heap->items[--heap->count];
    while ((child = 2 * i + 1) < heap->count) {
        if (child + 1 < heap->count &&
            heap->items[child + 1]->index < heap->items[child]->index)
            child++;
        if (heap->items[i]->index < heap->items[child]->index)
            break;
        swap(heap, i, child);
        i = child;
    }
}

static uint64_t offset_of(const struct source *source, uint64_t address)
{
    return source->offset == PIECE_ZEROS ? PIECE_ZEROS
                                         : source->offset + (address - source->first);
}

/* Segments that show the same bytes of the file at one address do not contradict. */
static void note_overlap(struct ranges *ranges, const struct heap *heap,
                         const struct source *next)
{
    const struct source *top = heap->count ? heap->items[0] : NULL;

    if (!top || top->last < next->first ||
        offset_of(top, next->first) == offset_of(next, next->first))
        return;
    if (ranges->overlaps++ == 0)
        ranges->overlap_at = next->first;
}

static void add_piece(struct ranges *ranges, const struct source *from, uint64_t first,
                      uint64_t last)
{
    uint64_t offset = offset_of(from, first);
    struct piece *before = ranges->count ? &ranges->pieces[ranges->count - 1] : NULL;

    if (before && before->last + 1 == first &&
        (offset == PIECE_ZEROS ? before->offset == PIECE_ZEROS
                               : before->offset != PIECE_ZEROS &&
                                     before->offset + (first - before->first) == offset)) {
        before->last = last;
        return;
    }
    ranges->pieces[ranges->count++] =
        (struct piece){.first = first, .last = last, .offset = offset};
}

/* Goes through the addresses in ascending order. Each step ends where the winner ends or
 * where the next source begins, so there are at most two steps for each source. */
static void sweep(struct ranges *ranges, const struct source *sources, size_t count,
                  struct heap *heap)
{
    uint64_t address = 0;
    size_t next = 0;

    while (next < count || heap->count > 0) {
        const struct source *winner;
        uint64_t last;

        while (heap->count > 0 && heap->items[0]->last < address)
            heap_pop(heap);
        if (heap->count == 0 && next == count)
            return;
        if (heap->count == 0)
            address = sources[next].first;
        for (; next < count && sources[next].first == address; next++) {
            note_overlap(ranges, heap, &sources[next]);
            heap_push(heap, &sources[next]);
        }
        winner = heap->items[0];
        last = winner->last;
        if (next < count && sources[next].first <= last)
            last = sources[next].first - 1;
        add_piece(ranges, winner, address, last);
        if (last == UINT64_MAX)
            return;
        address = last + 1;
    }
}

/* A writer may show bytes of the file at several addresses, but not all of them many
 * times: each pass over memory would go through a small file for hours. */
enum { TIMES_MAX = 8, FREE_OF_CHARGE = 64 << 20 };

static int check_shown(const struct ranges *ranges, const struct file *file,
                       struct qvm_error *err)
{
    uint64_t left = file->size > INT64_MAX / TIMES_MAX ? INT64_MAX : file->size * TIMES_MAX;

    left += FREE_OF_CHARGE;
    for (size_t i = 0; i < ranges->count; i++) {
        const struct piece *piece = &ranges->pieces[i];
        uint64_t size = piece->last - piece->first;

        if (piece->offset >= file->size) /* zeros, or missing */
            continue;
        if (size >= file->size - piece->offset)
            size = file->size - piece->offset - 1;
        if (size >= left)
            return qvm_fail(err, QVM_TOO_LARGE,
                            "%s: its segments show the file's bytes more than %d times",
                            file->path, TIMES_MAX);
        left -= size + 1;
    }
    return 0;
}

static int check_total(const struct ranges *ranges, const char *path, struct qvm_error *err)
{
    uint64_t total = 0;

    for (size_t i = 0; i < ranges->count; i++) {
        uint64_t size = ranges->pieces[i].last - ranges->pieces[i].first;

        if (size >= RANGES_BYTES_MAX - total)
            return qvm_fail(err, QVM_TOO_LARGE,
                            "%s: its segments claim 2^63 bytes of memory or more", path);
        total += size + 1;
    }
    return 0;
}

int ranges_build(struct ranges *ranges, const struct elf *elf, bool zeros,
                 const struct file *file, struct qvm_error *err)
{
    size_t room = elf->count ? (zeros ? 2 : 1) * (size_t)elf->count : 1;
    struct source *sources = calloc(room, sizeof *sources);
    struct heap heap = {.items = calloc(room, sizeof *heap.items)};
    int status;

    ranges->pieces = calloc(2 * room, sizeof *ranges->pieces);
    ranges->count = 0;
    ranges->overlaps = 0;
    if (sources && heap.items && ranges->pieces) {
        sweep(ranges, sources, collect(sources, elf, zeros), &heap);
        status = check_total(ranges, file->path, err);
        if (status == 0)
            status = check_shown(ranges, file, err);
    } else
        status = qvm_fail_memory(err, file->path);
    free(sources);
    free(heap.items);
    if (status != 0)
        ranges_free(ranges);
    return status;
}

void ranges_free(struct ranges *ranges)
{
    free(ranges->pieces);
    *ranges = (struct ranges){0};
}

size_t ranges_find(const struct ranges *ranges, uint64_t address)
{
    size_t low = 0, high = ranges->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->pieces[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
