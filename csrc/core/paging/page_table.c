/* The formats of page-table entries, as the manuals define them: Intel's Software
 * Developer's Manual, volume 3, chapter 5, and the Arm Architecture Reference Manual,
 * section D8.3 (VMSAv8-64, translation table descriptors).
 *
 * paging_setup describes a format as a list of levels, from the root on: which bits of an
 * address index the table of that level, and whether an entry there may map a block. All
 * else works on that list, so nothing outside this file knows an architecture.
 *
 * How an address is divided, from the top; a number is the bits of an index or offset, and
 * the levels are the manuals':
 *
 *     x86 32 bits        2: 10  1: 10                 12
 *     x86 PAE            3: 2   2: 9   1: 9           12
 *     x86_64 48 bits     4: 9   3: 9   2: 9   1: 9    12
 *     x86_64 57 bits     5: 9   4: 9   3: 9   2: 9   1: 9   12
 *     aarch64 4K, 39     1: 9   2: 9   3: 9           12
 *     aarch64 16K, 48    0: 1   1: 11  2: 11  3: 11   14
 *     aarch64 64K, 52    1: 10  2: 13  3: 13          16
 *     aarch64 4K, 52     -1: 4  0: 9   1: 9   2: 9   3: 9   12
 *
 * All levels but the first have tables that fill one page; the first gets the bits that are
 * left. */
#include "paging/page_table.h"

#include <inttypes.h>

/* The bits from low to high, both inclusive. */
#define BITS(high, low) ((UINT64_MAX >> (63 - (high))) & (UINT64_MAX << (low)))
#define BIT(n)          (UINT64_C(1) << (n))

/* Of x86 entries. Bit 63 is no-execute, where entries have 8 bytes. */
enum { PRESENT = 1, WRITABLE = 2, USER = 4, LARGE = 128 };

static int fail(const struct paging *paging, struct qvm_error *err)
{
    if (paging->kind == PAGING_AARCH64)
        return qvm_fail(err, QVM_UNSUPPORTED,
                        "no page tables of %u address bits and pages of %" PRIu64
                        " bytes with physical addresses of %u bits",
                        paging->va_bits, UINT64_C(1) << (paging->page_shift & 63),
                        paging->pa_bits);
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "no page tables of %u address bits and pages of %" PRIu64 " bytes",
                    paging->va_bits, UINT64_C(1) << (paging->page_shift & 63));
}

/* Levels are numbered from the last, 1. Entries of levels 2 and 3 may map a large page (of
 * 2 MiB or 4 MiB, and 1 GiB), but not in the short first table of PAE. Bits that are left
 * for the first level make it short: 2 of 9 in PAE. va_bits is one of three values here, so
 * no level has a shift above 48. */
static void set_x86(struct paging *paging, unsigned entry_size, unsigned bits)
{
    paging->entry_size = entry_size;
    paging->levels = (paging->va_bits - 12 + bits - 1) / bits;
    for (unsigned i = 0; i < paging->levels; i++) {
        unsigned number = paging->levels - i, shift = 12 + bits * (number - 1);
        unsigned left = paging->va_bits - shift;

        paging->level[i] = (struct paging_level){
            (int)number, shift, left < bits ? left : bits, number <= 3 && left >= bits};
    }
}

/* Levels are numbered up to the last, 3; the first one is 0 or later, as many as va_bits
 * needs. An entry of level 2 may map a block, with granules of 4 KiB also one of level 1;
 * and with physical addresses of 52 bits one of a level earlier. paging_setup() has limited
 * va_bits to 25 to 52 and the page to 4, 16 or 64 KiB. So there are at most
 * PAGING_LEVELS_MAX levels, namely five for 52 bits and pages of 4 KiB. */
static void set_aarch64(struct paging *paging)
{
    unsigned bits = paging->page_shift - 3, rest = paging->va_bits - paging->page_shift;
    int first_leaf = (paging->page_shift == 12 ? 1 : 2) - (paging->pa_bits > 48 ? 1 : 0);

    paging->entry_size = 8;
    paging->levels = (rest + bits - 1) / bits;
    for (unsigned i = 0; i < paging->levels; i++) {
        unsigned after = paging->levels - 1 - i;
        unsigned shift = paging->page_shift + bits * after;
        unsigned left = paging->va_bits - shift;
        int number = 3 - (int)after;

        paging->level[i] = (struct paging_level){number, shift, left < bits ? left : bits,
                                                 number >= first_leaf};
    }
}

/* Everything that the decoders rely on is checked here: the parameters come from control
 * registers, notes or scripts, and may be anything. More than 48 bits of virtual address
 * need pages of 64 KiB (LVA) or, as the entries have another form, 52 bits of physical
 * address (LPA2). */
int paging_setup(struct paging *paging, struct qvm_error *err)
{
    unsigned s = paging->page_shift;

    switch (paging->kind) {
    case PAGING_X86:
    case PAGING_X86_PAE:
        if (paging->va_bits != 32 || s != 12)
            return fail(paging, err);
        if (paging->kind == PAGING_X86)
            set_x86(paging, 4, 10);
        else
            set_x86(paging, 8, 9);
        return 0;
    case PAGING_X86_64:
        if ((paging->va_bits != 48 && paging->va_bits != 57) || s != 12)
            return fail(paging, err);
        set_x86(paging, 8, 9);
        return 0;
    case PAGING_AARCH64:
        if ((s != 12 && s != 14 && s != 16) || paging->va_bits > 52 ||
            paging->va_bits < 25 || (paging->pa_bits != 48 && paging->pa_bits != 52) ||
            (paging->va_bits > 48 && s != 16 && paging->pa_bits == 48))
            return fail(paging, err);
        set_aarch64(paging);
        return 0;
    }
    return fail(paging, err);
}

/* An entry of 8 bytes:
 *
 *     63   62..52    51 ............ 12   11..8  7   6 5  4 3  2    1    0
 *     NX   ignored   address              -      PS  D A  -    U/S  R/W  P
 *
 * Each entry on the way to a page can only take permissions away, and the walk combines
 * them by "and". PERM_* is what the tables allow; CR0.WP, SMEP, SMAP and protection keys
 * are not considered. */
static unsigned perms_x86(uint64_t entry, bool has_nx)
{
    unsigned perms = PERM_ALL;

    if (!(entry & WRITABLE))
        perms &= ~(unsigned)(PERM_KERNEL_WRITE | PERM_USER_WRITE);
    if (!(entry & USER))
        perms &= ~(unsigned)(PERM_USER_READ | PERM_USER_WRITE | PERM_USER_EXECUTE);
    if (has_nx && entry & BIT(63))
        perms &= ~(unsigned)(PERM_KERNEL_EXECUTE | PERM_USER_EXECUTE);
    return perms;
}

/* A page of 4 MiB has bits 39 to 32 of its address in bits 20 to 13 (PSE-36). Large pages
 * have their PAT bit at bit 12; the shift clears it. */
static uint64_t address_x86(const struct paging *paging, unsigned shift, uint64_t entry)
{
    if (paging->kind == PAGING_X86 && shift > 12)
        return (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
    return entry & ~paging->encryption_mask & BITS(51, 12) & (UINT64_MAX << shift);
}

static struct paging_entry decode_x86(const struct paging *paging, unsigned level,
                                      uint64_t entry)
{
    const struct paging_level *at = &paging->level[level];
    bool is_last = level + 1 == paging->levels;
    struct paging_entry result = {.kind = ENTRY_TABLE};

    if (!(entry & PRESENT))
        return (struct paging_entry){.kind = ENTRY_INVALID};
    if (is_last || (at->leaf && entry & LARGE))
        result.kind = ENTRY_LEAF;
    result.address = address_x86(paging, result.kind == ENTRY_LEAF ? at->shift : 12, entry);
    /* Entries of PAE's first table have no permissions. */
    if (paging->kind == PAGING_X86_PAE && level == 0)
        result.perms = PERM_ALL;
    else
        result.perms = perms_x86(entry, paging->kind != PAGING_X86);
    return result;
}

/* APTable[1:0] in bits 62 and 61, UXNTable, PXNTable: a table takes permissions from
 * everything that it leads to.
 *
 *     63        62..61   60        59        58..52  47 ............. 12   1 0
 *     NSTable   APTable  UXNTable  PXNTable  -       address of the table  1 1 */
static unsigned perms_of_table(uint64_t entry)
{
    unsigned perms = PERM_ALL;

    if (entry & BIT(61))
        perms &= ~(unsigned)(PERM_USER_READ | PERM_USER_WRITE);
    if (entry & BIT(62))
        perms &= ~(unsigned)(PERM_KERNEL_WRITE | PERM_USER_WRITE);
    if (entry & BIT(60))
        perms &= ~(unsigned)PERM_USER_EXECUTE;
    if (entry & BIT(59))
        perms &= ~(unsigned)PERM_KERNEL_EXECUTE;
    return perms;
}

/* AP[2:1] in bits 7 and 6, UXN, PXN. Privileged code cannot execute what users may write.
 *
 *     54   53   52..51  47 ........ 12  11  10  9..8  7..6  5   4..2      1 0
 *     UXN  PXN  -       address         nG  AF  SH    AP    NS  AttrIndx  x 1
 *
 * A table's bits take permissions away; a page's AP gives users access when bit 6 is set.
 */
static unsigned perms_of_page(uint64_t entry)
{
    unsigned perms = PERM_ALL;

    if (entry & BIT(7))
        perms &= ~(unsigned)(PERM_KERNEL_WRITE | PERM_USER_WRITE);
    if (!(entry & BIT(6)))
        perms &= ~(unsigned)(PERM_USER_READ | PERM_USER_WRITE);
    if (entry & BIT(54))
        perms &= ~(unsigned)PERM_USER_EXECUTE;
    if (entry & BIT(53) || perms & PERM_USER_WRITE)
        perms &= ~(unsigned)PERM_KERNEL_EXECUTE;
    return perms;
}

/* With 52 bits, the highest four are where granules of 64 KiB leave bits 15 to 12 free, or,
 * with smaller granules (LPA2), the highest two in bits 9 and 8.
 *
 *     64 KiB, 52 bits    entry 47..16 -> 47..16    entry 15..12 -> 51..48
 *     LPA2               entry 49..12 -> 49..12    entry 9..8   -> 51..50
 *
 * The shift then clears what an entry holds below the page or table: bits that a hostile
 * table has set there have no effect. */
static uint64_t address_aarch64(const struct paging *paging, unsigned shift, uint64_t entry)
{
    uint64_t address;

    if (paging->page_shift == 16)
        address = (entry & BITS(47, 16)) |
                  (paging->pa_bits > 48 ? (entry & BITS(15, 12)) << 36 : 0);
    else if (paging->pa_bits > 48)
        address = (entry & BITS(49, 12)) | (entry & BITS(9, 8)) << 42;
    else
        address = entry & BITS(47, 12);
    return address & ~paging->encryption_mask & (UINT64_MAX << shift);
}

/* The lowest bits: 00 and 10 invalid; 01 a block, where the level may have one; 11 a table,
 * or on the last level a page. */
static struct paging_entry decode_aarch64(const struct paging *paging, unsigned level,
                                          uint64_t entry)
{
    const struct paging_level *at = &paging->level[level];
    bool is_last = level + 1 == paging->levels;
    struct paging_entry result = {.kind = ENTRY_INVALID};

    if ((entry & 3) == 3)
        result.kind = is_last ? ENTRY_LEAF : ENTRY_TABLE;
    else if ((entry & 3) == 1 && !is_last && at->leaf)
        result.kind = ENTRY_LEAF;
    if (result.kind == ENTRY_LEAF) {
        result.address = address_aarch64(paging, at->shift, entry);
        result.perms = perms_of_page(entry);
    } else if (result.kind == ENTRY_TABLE) {
        result.address = address_aarch64(paging, paging->page_shift, entry);
        result.perms = perms_of_table(entry);
    }
    return result;
}

struct paging_entry paging_decode(const struct paging *paging, unsigned level,
                                  uint64_t entry)
{
    return paging->kind == PAGING_AARCH64 ? decode_aarch64(paging, level, entry)
                                          : decode_x86(paging, level, entry);
}

bool paging_is_canonical(const struct paging *paging, uint64_t address)
{
    uint64_t high;

    if (paging->kind == PAGING_X86 || paging->kind == PAGING_X86_PAE)
        return address >> 32 == 0;
    /* x86_64 extends the highest bit that counts; aarch64 has two halves whose bits above
     * are all 0 or all 1. */
    high = paging->kind == PAGING_X86_64 ? paging->va_bits - 1 : paging->va_bits;
    return address >> high == 0 || address >> high == UINT64_MAX >> high;
}
