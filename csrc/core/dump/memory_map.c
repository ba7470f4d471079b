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
                                               .offset = RUN_ZEROS,
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
    return source->offset == RUN_ZEROS ? RUN_ZEROS
                                       : source->offset + (address - source->first);
}

/* Segments that show the same bytes of the file at one address do not contradict. */
static void note_overlap(struct memory_map *map, const struct heap *heap,
                         const struct source *next)
{
    const struct source *top = heap->count ? heap->items[0] : NULL;

    if (!top || top->last < next->first ||
        offset_of(top, next->first) == offset_of(next, next->first))
        return;
    if (map->overlaps++ == 0)
        map->overlap_at = next->first;
}

static void add_piece(struct memory_map *map, const struct source *from, uint64_t first,
                      uint64_t last)
{
    uint64_t offset = offset_of(from, first);
    struct memory_run *before = map->count ? &map->runs[map->count - 1] : NULL;

    if (before && before->last + 1 == first &&
        (offset == RUN_ZEROS ? before->offset == RUN_ZEROS
                             : before->offset != RUN_ZEROS &&
                                   before->offset + (first - before->first) == offset)) {
        before->last = last;
        return;
    }
    map->runs[map->count++] =
        (struct memory_run){.first = first, .last = last, .offset = offset};
}

/* Goes through the addresses in ascending order. Each step ends where the winner ends or
 * where the next source begins, so there are at most two steps for each source. */
static void scan(struct memory_map *map, const struct source *sources, size_t count,
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
            note_overlap(map, heap, &sources[next]);
            heap_push(heap, &sources[next]);
        }
        winner = heap->items[0];
        last = winner->last;
        if (next < count && sources[next].first <= last)
            last = sources[next].first - 1;
        add_piece(map, winner, address, last);
        if (last == UINT64_MAX)
            return;
        address = last + 1;
    }
}

/* A writer may show bytes of the file at several addresses, but not all of them many
 * times: each pass over memory would go through a small file for hours. */
enum { TIMES_MAX = 8, FREE_OF_CHARGE = 64 << 20 };

static int check_shown(const struct memory_map *map, const struct image_file *file,
                       struct qvm_error *err)
{
    uint64_t left = file->size > INT64_MAX / TIMES_MAX ? INT64_MAX : file->size * TIMES_MAX;

    left += FREE_OF_CHARGE;
    for (size_t i = 0; i < map->count; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t size = run->last - run->first;

        if (run->offset >= file->size) /* zeros, or missing */
            continue;
        if (size >= file->size - run->offset)
            size = file->size - run->offset - 1;
        if (size >= left)
            return qvm_fail(err, QVM_TOO_LARGE,
                            "%s: its segments show the file's bytes more than %d times",
                            file->path, TIMES_MAX);
        left -= size + 1;
    }
    return 0;
}

static int check_total(const struct memory_map *map, const char *path,
                       struct qvm_error *err)
{
    uint64_t total = 0;

    for (size_t i = 0; i < map->count; i++) {
        uint64_t size = map->runs[i].last - map->runs[i].first;

        if (size >= MEMORY_MAP_BYTES_MAX - total)
            return qvm_fail(err, QVM_TOO_LARGE,
                            "%s: its segments claim 2^63 bytes of memory or more", path);
        total += size + 1;
    }
    return 0;
}

int memory_map_build(struct memory_map *map, const struct elf *elf, bool zeros,
                     const struct image_file *file, struct qvm_error *err)
{
    size_t room = elf->count ? (zeros ? 2 : 1) * (size_t)elf->count : 1;
    struct source *sources = calloc(room, sizeof *sources);
    struct heap heap = {.items = calloc(room, sizeof *heap.items)};
    int status;

    map->runs = calloc(2 * room, sizeof *map->runs);
    map->count = 0;
    map->overlaps = 0;
    if (sources && heap.items && map->runs) {
        scan(map, sources, collect(sources, elf, zeros), &heap);
        status = check_total(map, file->path, err);
        if (status == 0)
            status = check_shown(map, file, err);
    } else
        status = qvm_fail_memory(err, file->path);
    free(sources);
    free(heap.items);
    if (status != 0)
        memory_map_free(map);
    return status;
}

void memory_map_free(struct memory_map *map)
{
    free(map->runs);
    *map = (struct memory_map){0};
}

size_t memory_map_find(const struct memory_map *map, uint64_t address)
{
    size_t low = 0, high = map->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->runs[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool memory_map_next(const struct memory_map *map, size_t *index, uint64_t *first,
                     uint64_t *last)
{
    size_t i = *index;

    if (i >= map->count)
        return false;
    *first = map->runs[i].first;
    while (++i < map->count && map->runs[i].first - 1 == map->runs[i - 1].last)
        ;
    *last = map->runs[i - 1].last;
    *index = i;
    return true;
}
