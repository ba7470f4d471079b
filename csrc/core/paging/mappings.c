#include "paging/mappings.h"

#include "dump/extent.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLE_MAX = 65536, /* bytes of the largest table */
    AT_ONCE = 1 << 16, /* spans that one call looks at */
    /* The bound on steps: so many for each page of memory in the dump, and so many besides
     * for small dumps. A span is one step. */
    STEPS_PER_PAGE = 8,
    STEPS_BESIDES = 1 << 24,
    LOAD_STEPS = 32, /* what loading a table costs, in steps */
    PAGE = 4096
};

/* From an address on, what is mapped alike. */
struct alike {
    uint64_t last;   /* inclusive */
    unsigned rights; /* 0: not mapped */
};

int mapper_start(struct mapper *mapper, const struct space *space, uint64_t first,
                 uint64_t last, struct qvm_error *err)
{
    unsigned char *bytes = malloc((size_t)PAGING_LEVELS_MAX * TABLE_MAX);

    if (!bytes)
        return qvm_fail_memory(err, space->dump->file.path);
    *mapper = (struct mapper){.space = space,
                              .first = first,
                              .next = first,
                              .last = last,
                              .finished = first > last};
    mapper->left =
        span_total(space->dump, 0, UINT64_MAX) / PAGE * STEPS_PER_PAGE + STEPS_BESIDES;
    for (size_t i = 0; i < PAGING_LEVELS_MAX; i++)
        mapper->tables[i].bytes = bytes + i * TABLE_MAX;
    return 0;
}

void mapper_free(struct mapper *mapper)
{
    free(mapper->tables[0].bytes);
    mapper->tables[0].bytes = NULL;
}

static struct paging_entry entry_at(const struct mapper *mapper,
                                    const struct paging *paging, unsigned level,
                                    uint64_t index)
{
    const unsigned char *at = mapper->tables[level].bytes + index * paging->entry_size;

    return paging_decode(
        paging, level,
        bytes_get(at, paging->entry_size, mapper->space->dump->elf.big_endian));
}

static bool maps_alike(const struct paging_entry *a, const struct paging_entry *b)
{
    return a->kind == b->kind && (a->kind != ENTRY_LEAF || a->rights == b->rights);
}

static bool is_uniform(const struct mapper *mapper, const struct paging *paging,
                       unsigned level)
{
    struct paging_entry first = entry_at(mapper, paging, level, 0);

    for (uint64_t i = 1; i < UINT64_C(1) << paging->level[level].bits; i++) {
        struct paging_entry other = entry_at(mapper, paging, level, i);

        if (!maps_alike(&first, &other))
            return false;
    }
    return true;
}

/* Does the dump have any of these bytes? */
static bool has_some(const struct dump *dump, uint64_t address, size_t size)
{
    size_t i = ranges_find(&dump->ranges, address);

    return i < dump->ranges.count && (dump->ranges.pieces[i].first <= address ||
                                      dump->ranges.pieces[i].first - address < size);
}

/* Reads entry by entry where not all of a table is there; the others say nothing, and are
 * not tried: a message about each would take most of the time. */
static int read_pieces(const struct mapper *mapper, uint64_t address, unsigned char *to,
                       size_t size, unsigned entry_size, struct qvm_error *err)
{
    const struct dump *dump = mapper->space->dump;

    memset(to, 0, size);
    if (!has_some(dump, address, size))
        return 0;
    for (size_t at = 0; at < size && address <= UINT64_MAX - at; at += entry_size)
        if (dump_reach(dump, address + at, entry_size) == entry_size &&
            dump_read(dump, address + at, to + at, entry_size, err) != 0 &&
            err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED)
            return -1;
    return 0;
}

static int load(struct mapper *mapper, const struct paging *paging, unsigned level,
                uint64_t address, struct qvm_error *err)
{
    struct mapper_table *table = &mapper->tables[level];
    size_t size = (size_t)paging->entry_size << paging->level[level].bits;

    if (table->used && table->address == address)
        return 0;
    table->used = false;
    mapper->left -= smaller_u64(mapper->left, LOAD_STEPS);
    if (dump_read(mapper->space->dump, address, table->bytes, size, err) != 0 &&
        ((err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED) ||
         read_pieces(mapper, address, table->bytes, size, paging->entry_size, err) != 0))
        return -1;
    table->used = true;
    table->address = address;
    table->uniform = level + 1 == paging->levels && is_uniform(mapper, paging, level);
    return 0;
}

/* The last address of the 2^bits that one is among. */
static uint64_t end_of(uint64_t address, unsigned bits)
{
    return bits > 63 ? UINT64_MAX : address | ((UINT64_C(1) << bits) - 1);
}

static int look(struct mapper *mapper, const struct paging *paging, struct alike *span,
                struct qvm_error *err)
{
    uint64_t address = mapper->next, table = paging->root;

    span->rights = RIGHTS_ALL;
    for (unsigned i = 0; i < paging->levels; i++) {
        const struct paging_level *level = &paging->level[i];
        uint64_t index = address >> level->shift & ((UINT64_C(1) << level->bits) - 1);
        struct paging_entry entry;

        if (load(mapper, paging, i, table, err) != 0)
            return -1;
        entry = entry_at(mapper, paging, i, index);
        span->rights &= entry.kind == ENTRY_INVALID ? 0 : entry.rights;
        table = entry.address;
        span->last = end_of(address, level->shift);
        if (mapper->tables[i].uniform)
            span->last = end_of(address, level->shift + level->bits);
        if (entry.kind != ENTRY_TABLE)
            break;
    }
    return 0;
}

/* The last of the addresses from one on that no tables are for: those between the two
 * halves, and those of a half that is not known. */
static uint64_t last_without(const struct space *space, uint64_t address)
{
    enum space_half upper =
        space->half[SPACE_LOWER].kind == PAGING_AARCH64 ? SPACE_UPPER : SPACE_LOWER;
    const struct paging *paging = &space->half[upper];
    unsigned bits = paging->va_bits - (paging->kind == PAGING_X86_64);
    uint64_t start = UINT64_MAX << bits;

    if (!space->has[upper] || paging->kind == PAGING_X86 ||
        paging->kind == PAGING_X86_PAE || address >= start)
        return UINT64_MAX;
    return start - 1;
}

static int fail_budget(const struct mapper *mapper, struct qvm_error *err)
{
    return qvm_fail(
        err, QVM_TOO_LARGE,
        "%s: too_large: the page tables map far more than the memory of the dump, as "
        "tables that lead back to themselves do; looked at from 0x%016" PRIx64
        " up to 0x%016" PRIx64,
        mapper->space->dump->file.path, mapper->first, mapper->next);
}

static int next_span(struct mapper *mapper, struct alike *span, struct qvm_error *err)
{
    const struct paging *paging = space_paging(mapper->space, mapper->next, err);

    if (paging != mapper->paging)
        for (size_t i = 0; i < PAGING_LEVELS_MAX; i++)
            mapper->tables[i].used = false;
    mapper->paging = paging;
    if (paging && look(mapper, paging, span, err) != 0)
        return -1;
    if (!paging)
        *span = (struct alike){.last = last_without(mapper->space, mapper->next)};
    if (span->last > mapper->last)
        span->last = mapper->last;
    return 0;
}

/* Adds a span to the range that is open. True: that one ends before it. */
static bool add(struct mapper *mapper, const struct alike *span,
                struct mapping_range *range)
{
    bool ends = mapper->open && mapper->range.rights != span->rights;

    if (ends)
        *range = mapper->range;
    if (!mapper->open || ends)
        mapper->range = (struct mapping_range){mapper->next, span->last, span->rights};
    mapper->range.last = span->last;
    mapper->open = span->rights != 0;
    return ends;
}

int mapper_next(struct mapper *mapper, struct mapping_range *range, struct qvm_error *err)
{
    struct alike span = {0};

    for (unsigned spans = 0; !mapper->finished; spans++) {
        bool ends;

        if (spans == AT_ONCE)
            return qvm_fail(err, QVM_AGAIN, "%s: more of the page tables is to be read",
                            mapper->space->dump->file.path);
        if (mapper->left == 0)
            return fail_budget(mapper, err);
        mapper->left--;
        if (next_span(mapper, &span, err) != 0)
            return -1;
        ends = add(mapper, &span, range);
        mapper->finished = span.last == mapper->last;
        mapper->next = span.last + 1;
        if (ends)
            return 1;
    }
    *range = mapper->range;
    if (!mapper->open)
        return 0;
    mapper->open = false;
    return 1;
}
