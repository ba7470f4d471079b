/* Translation: a walk reads one entry at each level, from the root table on, until an entry
 * is invalid or maps a page. Translations of pages are cached, as a processor caches them:
 * a page's number selects the one place in the cache where it may be. Dumps do not change,
 * so nothing is ever stale.
 *
 * A walk for x86_64 with 48 bits:
 *
 *     address     63..48 | 47..39 | 38..30 | 29..21 | 20..12 | 11..0
 *                  sign    index4   index3   index2   index1   offset
 *                            |        |        |        |        |
 *     root (CR3) -> table 4 -+> table 3 -+> table 2 -+> table 1 -+> page + offset
 *
 * Tables that lead back to themselves need no check: each step is one level further down,
 * and there are at most five. */
#include "paging/address_space.h"

#include "util/bytes.h"

#include <inttypes.h>
#include <string.h>

/* The cache uses the smaller page size of the two halves, so a cached page never spans two
 * entries of a table. */
void space_init(struct space *space, struct dump *dump)
{
    space->memory = (struct memory){.ops = &space_memory_ops, .path = dump->file.path};
    space->dump = dump;
    space->page_shift = 16; /* 64 KiB, the largest pages */
    for (int i = 0; i < SPACE_HALVES; i++)
        if (space->has[i] && space->half[i].page_shift < space->page_shift)
            space->page_shift = space->half[i].page_shift;
    space->block = (struct space_block){0};
    space->extent_first = UINT64_MAX; /* none is known */
    space->extent = (struct extent){0};
    memset(space->cache, 0, sizeof space->cache);
}

static int fail_unmapped(const struct space *space, uint64_t address, const char *why,
                         struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNMAPPED, "%s: virtual address 0x%016" PRIx64 " %s",
                    space->dump->file.path, address, why);
}

/* Bit 55 selects the half, not bit 63: on aarch64 the bits above it may hold a tag. An
 * address with a tag is refused, though, as not canonical. */
const struct paging *space_paging(const struct space *space, uint64_t address,
                                  struct qvm_error *err)
{
    enum space_half half = SPACE_LOWER;

    if (space->half[SPACE_LOWER].kind == PAGING_AARCH64 && address >> 55 & 1)
        half = SPACE_UPPER;
    if (!space->has[half]) {
        qvm_fail(err, QVM_UNSUPPORTED,
                 "%s: virtual address 0x%016" PRIx64 ": no page tables are known for the "
                 "%s half of the addresses",
                 space->dump->file.path, address, half ? "upper" : "lower");
        return NULL;
    }
    if (!paging_is_canonical(&space->half[half], address)) {
        fail_unmapped(space, address, "is not canonical", err);
        return NULL;
    }
    return &space->half[half];
}

/*     0 .......... 2^bits - 1 | .... gap .... | 2^64 - 2^bits .......... 2^64 - 1
 *     lower half                                upper half
 *
 * For x86_64, `bits` is one less than va_bits, since the highest bit that counts is the
 * sign. A walk over all addresses passes the gap in one step. */
uint64_t space_gap_last(const struct space *space, uint64_t address)
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

/* The address of a table is at most 52 bits wide, except for a root that a caller gave;
 * only with that can the sum wrap. The entry is read in the byte order of the dump. */
int space_read_entry(const struct space *space, const struct paging *paging,
                     struct walk_step *step, struct qvm_error *err)
{
    unsigned char bytes[8];
    uint64_t offset = step->index * paging->entry_size;

    if (step->table > UINT64_MAX - offset)
        return qvm_fail(err, QVM_UNMAPPED, "%s: beyond the last address",
                        space->dump->file.path);
    if (dump_read(space->dump, step->table + offset, bytes, paging->entry_size, err) != 0)
        return -1;
    step->entry = bytes_get(bytes, paging->entry_size, space->dump->elf.big_endian);
    step->decoded = paging_decode(paging, step->level, step->entry);
    return 0;
}

/* A table is not in the dump, or is missing from a truncated file. */
static int fail_table(const struct space *space, uint64_t address, const struct walk *walk,
                      struct qvm_error *err)
{
    uint64_t table =
        walk->count > 0 ? walk->steps[walk->count - 1].decoded.address : walk->paging->root;

    if (err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED)
        return -1;
    return qvm_fail(err, err->code,
                    "%s: virtual address 0x%016" PRIx64
                    ": its page table of level %d at 0x%016" PRIx64 " is not in the dump",
                    space->dump->file.path, address,
                    walk->paging->level[walk->count].number, table);
}

/* The sum that makes walk->address cannot wrap: the decoder has cleared the bits of a
 * leaf's address below its size. */
int space_walk(const struct space *space, uint64_t address, struct walk *walk,
               struct qvm_error *err)
{
    const struct paging *paging = space_paging(space, address, err);
    uint64_t table;

    *walk = (struct walk){.paging = paging, .perms = PERM_ALL};
    if (!paging)
        return -1;
    table = paging->root;
    while (walk->count < paging->levels) {
        const struct paging_level *level = &paging->level[walk->count];
        struct walk_step *step = &walk->steps[walk->count];

        *step = (struct walk_step){.level = walk->count, .table = table};
        step->index = address >> level->shift & ((UINT64_C(1) << level->bits) - 1);
        if (space_read_entry(space, paging, step, err) != 0)
            return fail_table(space, address, walk, err);
        walk->count++;
        walk->perms &= step->decoded.perms;
        table = step->decoded.address;
        if (step->decoded.kind == ENTRY_TABLE)
            continue;
        walk->size = UINT64_C(1) << level->shift;
        walk->address = table + (address & (walk->size - 1));
        break;
    }
    return 0;
}

/* Names the entry that stopped a walk. */
static int fail_walk(const struct space *space, uint64_t address, const struct walk *walk,
                     struct qvm_error *err)
{
    const struct walk_step *step = &walk->steps[walk->count - 1];

    return qvm_fail(
        err, QVM_UNMAPPED,
        "%s: virtual address 0x%016" PRIx64 " is not mapped: level %d, entry %" PRIu64
        " of the table at 0x%016" PRIx64 " is 0x%016" PRIx64,
        space->dump->file.path, address, walk->paging->level[step->level].number,
        step->index, step->table, step->entry);
}

int space_resolve(const struct space *space, uint64_t address, struct walk *walk,
                  struct qvm_error *err)
{
    if (space_walk(space, address, walk, err) != 0)
        return -1;
    if (walk->steps[walk->count - 1].decoded.kind != ENTRY_LEAF)
        return fail_walk(space, address, walk, err);
    return 0;
}

/* A direct-mapped cache: the place is the page's number modulo SPACE_CACHE. The tag is the
 * number with a 1 bit after it, so that 0, as in a new cache, is no page's. The number has
 * at most 52 bits, so the shift loses none. */
static struct space_page *cache_place(struct space *space, uint64_t address)
{
    return &space->cache[(address >> space->page_shift) % SPACE_CACHE];
}

static uint64_t cache_tag(const struct space *space, uint64_t address)
{
    return address >> space->page_shift << 1 | 1;
}

/* The last block is tried first: kernels map most memory by large pages, of which the cache
 * would hold one small part at a time. */
bool space_recall(struct space *space, uint64_t address, uint64_t *physical, uint64_t *left)
{
    const struct space_block *block = &space->block;
    const struct space_page *page = cache_place(space, address);
    uint64_t size = UINT64_C(1) << space->page_shift, within = address & (size - 1);

    if (block->last > block->first && address >= block->first && address <= block->last) {
        *physical = block->physical + (address - block->first);
        *left = block->last - address + 1;
        return true;
    }
    if (page->tag != cache_tag(space, address))
        return false;
    *physical = page->address + within;
    *left = size - within;
    return true;
}

void space_remember(struct space *space, uint64_t address, const struct walk *walk)
{
    uint64_t within = address & ((UINT64_C(1) << space->page_shift) - 1);
    uint64_t in_block = address & (walk->size - 1);

    *cache_place(space, address) = (struct space_page){.tag = cache_tag(space, address),
                                                       .address = walk->address - within};
    space->block = (struct space_block){.first = address - in_block,
                                        .last = address | (walk->size - 1),
                                        .physical = walk->address - in_block};
}

int space_translate(struct space *space, uint64_t address, uint64_t *physical,
                    uint64_t *left, struct qvm_error *err)
{
    struct walk walk;

    if (space_recall(space, address, physical, left))
        return 0;
    if (space_resolve(space, address, &walk, err) != 0)
        return -1;
    space_remember(space, address, &walk);
    *physical = walk.address;
    *left = (address | (walk.size - 1)) - address + 1;
    return 0;
}

/* The page is mapped to memory that the dump does not have. */
static int fail_physical(const struct space *space, uint64_t address, uint64_t physical,
                         struct qvm_error *err)
{
    if (err->code != QVM_UNMAPPED && err->code != QVM_TRUNCATED)
        return -1;
    return qvm_fail(err, err->code,
                    "%s: virtual address 0x%016" PRIx64
                    " is in a page of which not all is in the dump, at physical address "
                    "0x%016" PRIx64,
                    space->dump->file.path, address, physical);
}

/* Page by page: pages that adjoin in virtual memory may be anywhere in physical memory. */
int space_read(struct space *space, uint64_t address, void *to, size_t n,
               struct qvm_error *err)
{
    unsigned char *out = to;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return fail_unmapped(space, UINT64_MAX, "is the last one", err);
    while (n > 0) {
        uint64_t physical, left;
        size_t part;

        if (space_translate(space, address, &physical, &left, err) != 0)
            return -1;
        part = left < n ? (size_t)left : n;
        if (dump_read(space->dump, physical, out, part, err) != 0)
            return fail_physical(space, address, physical, err);
        out += part;
        address += part;
        n -= part;
    }
    return 0;
}
