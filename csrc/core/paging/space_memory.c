/* The virtual memory of an address space, as scans walk it. An extent is a page or block,
 * or the part of it that the dump has as one; or what an entry, and some after it, leave
 * unmapped. Nothing is kept from one to the next, so a scan may go back.
 *
 * Page tables that lead back to themselves map without end: a scan is limited to a multiple
 * of the memory that the dump has, which real guests, though they map their memory several
 * times, do not come to. */
#include "paging/address_space.h"

#include "util/bytes.h"
#include "util/limits.h"

enum {
    LIMIT_TIMES = 4,                        /* the dump's memory so many times, */
    LIMIT_MORE = LIMIT(256 << 20, 1 << 20), /* and so many bytes more, for small dumps */
    ENTRIES_AT_ONCE = 16                    /* of a table that one extent passes */
};

/* Up to where nothing is mapped, from an address on at which a walk has ended with an
 * invalid entry, or for want of a table. */
static uint64_t unmapped_last(const struct space *space, const struct walk *walk,
                              uint64_t address)
{
    unsigned depth = walk->count > 0 ? walk->count - 1 : 0;
    const struct paging_level *level = &walk->paging->level[depth];
    uint64_t mask = (UINT64_C(1) << level->shift) - 1, last = address | mask;
    struct walk_step step = walk->steps[depth];
    struct qvm_error err; /* then the next extent begins there */

    if (walk->count == 0 || step.decoded.kind == ENTRY_TABLE)
        return last;
    for (int i = 0; i < ENTRIES_AT_ONCE && last != UINT64_MAX; i++) {
        if (++step.index >> level->bits ||
            space_read_entry(space, walk->paging, &step, &err) != 0 ||
            step.decoded.kind != ENTRY_INVALID)
            break;
        last = (last + 1) | mask;
    }
    return last;
}

/* What the dump has at a physical address to which `left` bytes are mapped.
 *
 *     virtual    address ............... end of page     `left` bytes
 *     physical   physical .... extent.last               what the dump has
 *
 * The answer ends with the shorter of the two. Sizes are kept less 1 so that a block that
 * ends at the top of the address space has no size of 2^64. */
static int mapped_extent(struct space *space, uint64_t physical, uint64_t left,
                         uint64_t address, uint64_t last, struct extent *extent,
                         struct qvm_error *err)
{
    uint64_t n = smaller_u64(left - 1, last - address);

    /* Pages are mostly parts of larger extents; asking the file system for each takes long.
     */
    if (physical < space->extent_first || physical > space->extent.last) {
        if (memory_extent(&space->dump->memory, physical, UINT64_MAX, &space->extent,
                          err) != 0)
            return -1;
        space->extent_first = physical;
    }
    extent->kind = space->extent.kind;
    extent->last = address + smaller_u64(n, space->extent.last - physical);
    return 0;
}

static int extent(struct memory *memory, uint64_t address, uint64_t last,
                  struct extent *extent, struct qvm_error *err)
{
    struct space *space = (struct space *)memory;
    uint64_t physical, left;
    struct walk walk;
    int status;

    if (space_recall(space, address, &physical, &left))
        return mapped_extent(space, physical, left, address, last, extent, err);
    status = space_walk(space, address, &walk, err);
    if (status != 0 && err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED &&
        err->code != QVM_UNSUPPORTED)
        return -1;
    if (status == 0 && walk.steps[walk.count - 1].decoded.kind == ENTRY_LEAF) {
        space_remember(space, address, &walk);
        left = (address | (walk.size - 1)) - address + 1;
        return mapped_extent(space, walk.address, left, address, last, extent, err);
    }
    extent->kind = EXTENT_NONE;
    extent->last = smaller_u64(last, walk.paging ? unmapped_last(space, &walk, address)
                                                 : space_gap_last(space, address));
    return 0;
}

static int read(struct memory *memory, uint64_t address, void *to, size_t n,
                struct qvm_error *err)
{
    return space_read((struct space *)memory, address, to, n, err);
}

/* smaller_u64() first, so that the product and the sum stay below 2^64. */
static uint64_t scan_limit(const struct memory *memory)
{
    const struct space *space = (const struct space *)memory;
    uint64_t total = dump_memory_total(space->dump, 0, UINT64_MAX);

    return smaller_u64(total, UINT64_MAX / LIMIT_TIMES - LIMIT_MORE) * LIMIT_TIMES +
           LIMIT_MORE;
}

const struct memory_ops space_memory_ops = {
    .extent = extent, .read = read, .read_direct = read, .scan_limit = scan_limit};
