/* Builds the map by a sweep over the addresses, in O(n log n) for n segments, even if all
 * of them overlap.
 *
 * The segments are sorted by address. The sweep's heap holds those that have begun, with
 * the one that comes first in the file on top: the winner. Each step writes one run, of the
 * winner, that ends where the winner ends or before the next segment begins, whichever is
 * first. A segment that has ended while another one was on top stays in the heap until it
 * comes to the top itself. So there are at most two steps for each segment, and twice as
 * many runs as segments have room for all:
 *
 *     segment 1 (first in the file)       [=========]
 *     segment 2                      [=========]
 *     segment 3                          [==================]
 *     runs                           [ 2 ][    1    ][  3   ]
 *
 * Runs that continue each other, in memory and in the file, are joined. All ends are
 * inclusive: a segment may end at the top of the address space. */
#include "dump/memory_map.h"

#include "util/limits.h"

#include <stdlib.h>

/* A part of a segment's memory: what is in the file, or what is zeros. */
struct source {
    uint64_t first, last, offset;
    unsigned index; /* of the segment in the file's order */
};

/* Sources ---------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct source *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* A writer that left a segment's data out has set the offset to -1: what that memory held
 * is unknown, not zero. */
static bool has_zeros(const struct elf_segment *segment)
{
    return segment->memsz > segment->filesz && segment->offset != UINT64_MAX;
}

/* At most two sources for each segment:
 *
 *     paddr           paddr + filesz          paddr + memsz
 *     [ in the file   ][ zeros, if zero_fill  ]
 *
 * No sum wraps: elf_segments.c has checked paddr + memsz - 1, and filesz <= memsz. */
static size_t collect(struct source *sources, const struct elf *elf, bool zero_fill)
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
        if (zero_fill && has_zeros(s))
            sources[count++] = (struct source){.first = s->paddr + s->filesz,
                                               .last = s->paddr + (s->memsz - 1),
                                               .offset = RUN_ZEROS,
                                               .index = i};
    }
    qsort(sources, count, sizeof *sources, by_address);
    return count;
}

/* The heap --------------------------------------------------------------------------- */

/* A binary heap by index, the lowest on top: the children of i are 2i + 1 and 2i + 2. */
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

/* Rises while its index is lower than its parent's. Two sources of one segment, its data
 * and its zeros, have the same index; they do not overlap, so their order does not matter.
 */
static void heap_push(struct heap *heap, const struct source *source)
{
    size_t i = heap->count++;

    heap->items[i] = source;
    for (; i > 0 && heap->items[i]->index < heap->items[(i - 1) / 2]->index;
         i = (i - 1) / 2)
        swap(heap, i, (i - 1) / 2);
}

/* The last item takes the top's place and sinks: the lower of two children rises above it.
 */
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

/* The sweep -------------------------------------------------------------------------- */

static uint64_t offset_of(const struct source *source, uint64_t address)
{
    return source->offset == RUN_ZEROS ? RUN_ZEROS
                                       : source->offset + (address - source->first);
}

/* Counts an overlap of a source that begins with the winner. Segments that show the same
 * bytes of the file at one address do not contradict each other. */
static void count_overlap(struct memory_map *map, const struct heap *heap,
                          const struct source *next)
{
    const struct source *top = heap->count ? heap->items[0] : NULL;

    if (!top || top->last < next->first ||
        offset_of(top, next->first) == offset_of(next, next->first))
        return;
    if (map->overlaps++ == 0)
        map->overlap_at = next->first;
}

/* Does memory at `first`, of this offset, continue a run? */
static bool continues(const struct memory_run *run, uint64_t first, uint64_t offset)
{
    if (run->last + 1 != first)
        return false;
    if (offset == RUN_ZEROS || run->offset == RUN_ZEROS)
        return offset == run->offset;
    return run->offset + (first - run->first) == offset;
}

static void add_run(struct memory_map *map, const struct source *from, uint64_t first,
                    uint64_t last)
{
    uint64_t offset = offset_of(from, first);
    struct memory_run *before = map->count ? &map->runs[map->count - 1] : NULL;

    if (before && continues(before, first, offset))
        before->last = last;
    else
        map->runs[map->count++] =
            (struct memory_run){.first = first, .last = last, .offset = offset};
}

/* Invariants at the start of a round:
 *
 * - All runs end before `address`, and nothing below it is still to be mapped.
 * - Sources before `next` are in the heap or have been popped; those from `next` on begin
 *   at `address` or later.
 * - The top of the heap, once stale ones are popped, covers `address`.
 *
 * A round ends at the winner's end, which pops it, or before the start of the next source,
 * which pushes that one: at most two rounds for each source. */
static void sweep(struct memory_map *map, const struct source *sources, size_t count,
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
        if (heap->count == 0) /* a gap */
            address = sources[next].first;
        for (; next < count && sources[next].first == address; next++) {
            count_overlap(map, heap, &sources[next]);
            heap_push(heap, &sources[next]);
        }
        winner = heap->items[0];
        last = winner->last;
        if (next < count && sources[next].first <= last)
            last = sources[next].first - 1;
        add_run(map, winner, address, last);
        if (last == UINT64_MAX)
            return;
        address = last + 1;
    }
}

/* Limits ----------------------------------------------------------------------------- */

/* Segments may map the same bytes of the file at several addresses. The total is limited,
 * since a scan of a small file could take hours otherwise. */
enum { TIMES_MAX = 8, ALIASED_MORE = LIMIT(64 << 20, 64 << 10) };

/* A run whose offset is at or after the file's end costs nothing: it is zeros (RUN_ZEROS is
 * the largest offset) or lost in a cut file. A run that goes on past the end counts as far
 * as the file has it. */
static int check_aliasing(const struct memory_map *map, const struct image_file *file,
                          struct qvm_error *err)
{
    uint64_t left = file->size > INT64_MAX / TIMES_MAX ? INT64_MAX : file->size * TIMES_MAX;

    left += ALIASED_MORE;
    for (size_t i = 0; i < map->count; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t size = run->last - run->first; /* less 1, as is all below */

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

/* The runs are disjoint, so the sum is at most 2^64, one more than fits. Below 2^63 every
 * later sum of sizes is safe, also in Lua's signed integers. */
static int check_total(const struct memory_map *map, const char *path,
                       struct qvm_error *err)
{
    uint64_t total = 0;

    for (size_t i = 0; i < map->count; i++) {
        uint64_t size = map->runs[i].last - map->runs[i].first; /* less 1 */

        if (size >= MEMORY_MAP_BYTES_MAX - total)
            return qvm_fail(err, QVM_TOO_LARGE,
                            "%s: its segments claim 2^63 bytes of memory or more", path);
        total += size + 1;
    }
    return 0;
}

/* The map ---------------------------------------------------------------------------- */

int memory_map_init(struct memory_map *map, const struct elf *elf, bool zero_fill,
                    const struct image_file *file, struct qvm_error *err)
{
    size_t room = elf->count ? (zero_fill ? 2 : 1) * (size_t)elf->count : 1;
    struct source *sources = calloc(room, sizeof *sources);
    struct heap heap = {.items = calloc(room, sizeof *heap.items)};
    int status;

    *map = (struct memory_map){.runs = calloc(2 * room, sizeof *map->runs)};
    if (sources && heap.items && map->runs) {
        sweep(map, sources, collect(sources, elf, zero_fill), &heap);
        status = check_total(map, file->path, err);
        if (status == 0)
            status = check_aliasing(map, file, err);
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

/* Runs are disjoint and ascending, so their last addresses ascend, too. Invariant: runs
 * below `low` end before the address, those from `high` on do not. */
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

/* Joins runs that adjoin in memory, whatever their places in the file. The difference is
 * taken from `first`, which is not 0 for a run after another; last + 1 could wrap. */
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
