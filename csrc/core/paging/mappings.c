/* The page tables are walked once, in order of address. The table of each level is kept, so
 * one read serves all its entries; it is read again only when the walk comes to another. A
 * last-level table whose entries are all alike, as sanitizers of kernels use for gigabytes
 * of shadow memory, is passed in one step.
 *
 * Each step gives an extent that is mapped alike; extents that adjoin and have equal
 * permissions are joined.
 *
 *     entries of a table   W W W . . R R W         W: read-write, R: read-only, .: invalid
 *     steps                1 2 3 4 5 6 7 8
 *     mappings             [ W ]     [R] W
 *
 * Time is bounded by the steps, not by the addresses: an invalid entry of the first level
 * passes 512 GiB in one. */
#include "paging/mappings.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLE_MAX = 65536,                /* bytes of the largest table */
    AT_ONCE = LIMIT(1 << 16, 1 << 4), /* steps of one call */
    /* The limit on steps: so many for each page of memory in the dump, and so many more for
     * small dumps. An extent is one step. */
    STEPS_PER_PAGE = 8,
    STEPS_MORE = LIMIT(1 << 24, 1 << 15),
    LOAD_STEPS = 32, /* what loading a table costs, in steps */
    PAGE = 4096
};

/* The addresses up to `last` are mapped alike. */
struct alike {
    uint64_t last;  /* inclusive */
    unsigned perms; /* 0: not mapped */
};

/* One allocation has the tables of all levels: 5 * 64 KiB. PAGE is a unit of cost here,
 * whatever the pages of the guest are. */
int mappings_init(struct mappings *mappings, const struct space *space, uint64_t first,
                  uint64_t last, struct qvm_error *err)
{
    unsigned char *bytes = malloc((size_t)PAGING_LEVELS_MAX * TABLE_MAX);

    if (!bytes)
        return qvm_fail_memory(err, space->dump->file.path);
    *mappings = (struct mappings){.space = space,
                                  .first = first,
                                  .next = first,
                                  .last = last,
                                  .finished = first > last};
    mappings->left =
        dump_memory_total(space->dump, 0, UINT64_MAX) / PAGE * STEPS_PER_PAGE + STEPS_MORE;
    for (size_t i = 0; i < PAGING_LEVELS_MAX; i++)
        mappings->tables[i].bytes = bytes + i * TABLE_MAX;
    return 0;
}

void mappings_free(struct mappings *mappings)
{
    free(mappings->tables[0].bytes);
    mappings->tables[0].bytes = NULL;
}

static struct paging_entry entry_at(const struct mappings *mappings,
                                    const struct paging *paging, unsigned level,
                                    uint64_t index)
{
    const unsigned char *at = mappings->tables[level].bytes + index * paging->entry_size;

    return paging_decode(
        paging, level,
        bytes_get(at, paging->entry_size, mappings->space->dump->elf.big_endian));
}

static bool maps_alike(const struct paging_entry *a, const struct paging_entry *b)
{
    return a->kind == b->kind && (a->kind != ENTRY_LEAF || a->perms == b->perms);
}

/* Looks at up to 8192 entries, once for each table of the last level that is loaded: a part
 * of what LOAD_STEPS stands for. What the entries point to does not matter. */
static bool is_uniform(const struct mappings *mappings, const struct paging *paging,
                       unsigned level)
{
    struct paging_entry first = entry_at(mappings, paging, level, 0);

    for (uint64_t i = 1; i < UINT64_C(1) << paging->level[level].bits; i++) {
        struct paging_entry other = entry_at(mappings, paging, level, i);

        if (!maps_alike(&first, &other))
            return false;
    }
    return true;
}

/* Does the dump have any of these bytes? */
static bool has_some(const struct dump *dump, uint64_t address, size_t size)
{
    size_t i = memory_map_find(&dump->map, address);

    return i < dump->map.count &&
           (dump->map.runs[i].first <= address || dump->map.runs[i].first - address < size);
}

/* Reads a table of which the dump has only a part, entry by entry. The others map nothing.
 */
static int read_pieces(const struct mappings *mappings, uint64_t address, unsigned char *to,
                       size_t size, unsigned entry_size, struct qvm_error *err)
{
    const struct dump *dump = mappings->space->dump;

    memset(to, 0, size);
    if (!has_some(dump, address, size))
        return 0;
    for (size_t at = 0; at < size && address <= UINT64_MAX - at; at += entry_size)
        if (dump_contiguous(dump, address + at, entry_size) == entry_size &&
            dump_read(dump, address + at, to + at, entry_size, err) != 0 &&
            err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED)
            return -1;
    return 0;
}

/* Loads a table unless it is the one that the level has already. A table that several
 * entries share, apart from each other, is loaded again for each, and the cost comes off
 * the limit each time. */
static int load(struct mappings *mappings, const struct paging *paging, unsigned level,
                uint64_t address, struct qvm_error *err)
{
    struct mappings_table *table = &mappings->tables[level];
    size_t size = (size_t)paging->entry_size << paging->level[level].bits;

    if (table->used && table->address == address)
        return 0;
    table->used = false;
    mappings->left -= smaller_u64(mappings->left, LOAD_STEPS);
    if (dump_read(mappings->space->dump, address, table->bytes, size, err) != 0 &&
        ((err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED) ||
         read_pieces(mappings, address, table->bytes, size, paging->entry_size, err) != 0))
        return -1;
    table->used = true;
    table->address = address;
    table->uniform = level + 1 == paging->levels && is_uniform(mappings, paging, level);
    return 0;
}

/* The last of the 2^bits addresses that one is among. */
static uint64_t end_of(uint64_t address, unsigned bits)
{
    return bits > 63 ? UINT64_MAX : address | ((UINT64_C(1) << bits) - 1);
}

/* Descends for one address. The extent is what the entry that stopped the walk covers, or
 * all that its table covers if that is uniform. An invalid entry has permissions 0. */
static int look(struct mappings *mappings, const struct paging *paging,
                struct alike *extent, struct qvm_error *err)
{
    uint64_t address = mappings->next, table = paging->root;

    extent->perms = PERM_ALL;
    for (unsigned i = 0; i < paging->levels; i++) {
        const struct paging_level *level = &paging->level[i];
        uint64_t index = address >> level->shift & ((UINT64_C(1) << level->bits) - 1);
        struct paging_entry entry;

        if (load(mappings, paging, i, table, err) != 0)
            return -1;
        entry = entry_at(mappings, paging, i, index);
        extent->perms &= entry.kind == ENTRY_INVALID ? 0 : entry.perms;
        table = entry.address;
        extent->last = end_of(address, level->shift);
        if (mappings->tables[i].uniform)
            extent->last = end_of(address, level->shift + level->bits);
        if (entry.kind != ENTRY_TABLE)
            break;
    }
    return 0;
}

static int fail_budget(const struct mappings *mappings, struct qvm_error *err)
{
    return qvm_fail(
        err, QVM_TOO_LARGE,
        "%s: too_large: the page tables map far more than the memory of the dump, as "
        "tables that lead back to themselves do; looked at from 0x%016" PRIx64
        " up to 0x%016" PRIx64,
        mappings->space->dump->file.path, mappings->first, mappings->next);
}

/* The tables that are kept belong to one half; at the border to the other, or to the gap
 * between them, they are forgotten. */
static int next_extent(struct mappings *mappings, struct alike *extent,
                       struct qvm_error *err)
{
    const struct paging *paging = space_paging(mappings->space, mappings->next, err);

    if (paging != mappings->paging)
        for (size_t i = 0; i < PAGING_LEVELS_MAX; i++)
            mappings->tables[i].used = false;
    mappings->paging = paging;
    if (paging && look(mappings, paging, extent, err) != 0)
        return -1;
    if (!paging)
        *extent = (struct alike){.last = space_gap_last(mappings->space, mappings->next)};
    if (extent->last > mappings->last)
        extent->last = mappings->last;
    return 0;
}

/* Extends the open range by an extent, or opens one. True: the range before it has ended,
 * and is in *range. An extent without permissions closes the range and is not itself a
 * mapping: what is returned has some permission. */
static bool add(struct mappings *mappings, const struct alike *extent,
                struct mapping *range)
{
    bool ends = mappings->open && mappings->range.perms != extent->perms;

    if (ends)
        *range = mappings->range;
    if (!mappings->open || ends)
        mappings->range = (struct mapping){mappings->next, extent->last, extent->perms};
    mappings->range.last = extent->last;
    mappings->open = extent->perms != 0;
    return ends;
}

/* A call does AT_ONCE steps at most, and the range stays open across calls. next = last + 1
 * wraps to 0 only at the top of the address space, where the walk is finished. */
int mappings_next(struct mappings *mappings, struct mapping *range, struct qvm_error *err)
{
    struct alike extent = {0};

    for (unsigned extents = 0; !mappings->finished; extents++) {
        bool ends;

        if (extents == AT_ONCE)
            return qvm_fail(err, QVM_INCOMPLETE,
                            "%s: more of the page tables is to be read",
                            mappings->space->dump->file.path);
        if (mappings->left == 0)
            return fail_budget(mappings, err);
        mappings->left--;
        if (next_extent(mappings, &extent, err) != 0)
            return -1;
        ends = add(mappings, &extent, range);
        mappings->finished = extent.last == mappings->last;
        mappings->next = extent.last + 1;
        if (ends)
            return 1;
    }
    *range = mappings->range;
    if (!mappings->open)
        return 0;
    mappings->open = false;
    return 1;
}
