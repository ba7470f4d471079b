/* Units are memory that only one of the two has, which differs as a whole, or memory that
 * both have, which is read and compared. The latter end at multiples of the granularity, so
 * that each granule is looked at by one unit. Zeros known without reading on both sides are
 * skipped, but only whole granules of them: the rest of a granule may differ.
 *
 *     granules   |-------|-------|-------|-------|
 *     here       ======================
 *     there          =======================
 *     units      [h ][      both       ][t ]      h: only here, t: only there
 *
 * A range is extended to its granule but not past its unit. So it never claims memory that
 * one of the two does not have, and two units never report the same address. */
#include "scan/diff.h"

#include "util/bytes.h"

#include <string.h>

static bool is_there(const struct extent *extent)
{
    return extent->kind == EXTENT_DATA || extent->kind == EXTENT_ZEROS;
}

/* What each of the two has at an address. */
struct both {
    struct extent here, there;
    uint64_t last;         /* of the shorter extent */
    bool in_both, in_none; /* do both have memory, or none? */
    bool zeros;            /* do both have zeros that are known? */
};

static int both_at(struct diff *diff, uint64_t address, struct both *both,
                   struct qvm_error *err)
{
    struct scan *scan = &diff->scan;

    if (scan_extent(scan, scan->memory, address, &both->here, err) != 0 ||
        scan_extent(scan, diff->there, address, &both->there, err) != 0)
        return -1;
    both->last = smaller_u64(both->here.last, both->there.last);
    both->in_both = is_there(&both->here) && is_there(&both->there);
    both->in_none = !is_there(&both->here) && !is_there(&both->there);
    both->zeros = both->here.kind == EXTENT_ZEROS && both->there.kind == EXTENT_ZEROS;
    return 0;
}

/* Extends a unit that both have, and that certainly goes on up to unit->last. It goes on in
 * both at once: one may be in many small extents where the other has none. `first` | (size
 * - 1) is the end of the block of `size` bytes, itself a multiple of the granularity, so a
 * granule that both have is not divided. Known zeros on both sides end the unit with the
 * granule that they begin in: plan() skips the rest. */
static void extend_unit(struct diff *diff, struct scan_unit *unit)
{
    uint64_t size = diff->granularity > SCAN_UNIT ? diff->granularity : SCAN_UNIT;
    uint64_t end = smaller_u64(unit->first | (size - 1), diff->scan.last);
    struct both both;
    struct qvm_error err; /* the next plan will come upon it again */

    while (unit->last < end && both_at(diff, unit->last + 1, &both, &err) == 0 &&
           both.in_both) {
        if (both.zeros)
            end = smaller_u64(end, unit->last | (diff->granularity - 1));
        unit->last = smaller_u64(both.last, end);
    }
    unit->last = smaller_u64(unit->last, end);
}

/* Passes whole granules of zeros up to an address. False: there is none. The granule that
 * the zeros end in stays, since its other bytes may differ, except at the end of the scan.
 * `next` wraps to 0 at the top of the address space; next - 1 is `last` again. */
static bool pass_zeros(struct diff *diff, uint64_t last)
{
    uint64_t next = last + 1, mask = diff->granularity - 1;

    if (last != diff->scan.last && (next & mask) != 0) {
        next &= ~mask;
        if (next <= diff->scan.next)
            return false;
    }
    scan_pass(&diff->scan, next - 1);
    return true;
}

/* One extent of either memory after the other, until there is something to compare. A unit
 * that only one has is not extended: its bytes are not read, so its size costs nothing. */
static int plan(struct scan *scan, struct scan_unit *unit, struct qvm_error *err)
{
    struct diff *diff = (struct diff *)scan;

    for (unsigned i = 0; !scan->finished && i < SCAN_EXTENTS; i++) {
        struct both both;

        if (both_at(diff, scan->next, &both, err) != 0)
            return -1;
        if (both.zeros && pass_zeros(diff, both.last))
            continue;
        unit->first = scan->next;
        unit->last = both.last;
        unit->kind = is_there(&both.here) ? DIFF_ONLY_HERE : DIFF_ONLY_THERE;
        if (both.in_both) {
            unit->kind = DIFF_CHANGED;
            extend_unit(diff, unit);
        }
        scan_pass(scan, unit->last);
        if (!both.in_none)
            return 1;
    }
    return 0;
}

/* Adds a range, or extends the last one to it. Ranges of a unit ascend by their first
 * address, but granules that adjoin make one range. */
static int add(struct found *found, uint64_t first, uint64_t last)
{
    struct range *before = found->count ? &found->ranges[found->count - 1] : NULL;

    if (before && first <= before->last + 1) {
        if (last > before->last)
            before->last = last;
        return 0;
    }
    return found_add(found, first, last);
}

/* The first index from i on where a and b differ, or n. memcmp() by strides, since most of
 * two dumps of one guest is equal: the C library compares many bytes at a time. */
static size_t first_different(const unsigned char *a, const unsigned char *b, size_t i,
                              size_t n)
{
    enum { STRIDE = 256 };

    while (n - i >= STRIDE && memcmp(a + i, b + i, STRIDE) == 0)
        i += STRIDE;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static size_t first_equal(const unsigned char *a, const unsigned char *b, size_t i,
                          size_t n)
{
    while (i < n && a[i] != b[i])
        i++;
    return i;
}

/* Adds what differs in n bytes at an address, which is in the unit. After a byte that
 * differs the rest of its granule needs no look: the loop goes on after it. With a
 * granularity of 1 the range is the row of bytes that differ. `last` - address is compared
 * with n - 1, as address + n could wrap. */
static int compare(const struct diff *diff, struct scan_unit *unit, uint64_t address,
                   const unsigned char *a, const unsigned char *b, size_t n)
{
    uint64_t mask = diff->granularity - 1;

    if (memcmp(a, b, n) == 0)
        return 0;
    for (size_t i = first_different(a, b, 0, n), end; i < n;
         i = first_different(a, b, end, n)) {
        uint64_t first = (address + i) & ~mask, last;

        end = mask ? i + 1 : first_equal(a, b, i, n);
        last = (address + (end - 1)) | mask;
        if (last - address >= n - 1)
            end = n;
        else
            end = (size_t)(last - address) + 1;
        if (first < unit->first)
            first = unit->first;
        if (last > unit->last)
            last = unit->last;
        if (add(&unit->found, first, last) != 0)
            return -1;
        if (unit->found.count >= SCAN_FOUND && last < unit->last) {
            unit->done = last;
            unit->stopped = true;
            return 0;
        }
    }
    return 0;
}

/* unit->done is unit->last until compare() stops the unit earlier, so it is the end of the
 * loop in both cases. */
static int run(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    const struct diff *diff = (const struct diff *)scan;
    unsigned char *a = scan->buffers[worker], *b = a + SCAN_BUFFER;
    uint64_t address = unit->first;

    if (unit->kind != DIFF_CHANGED)
        return add(&unit->found, unit->first, unit->last) == 0
                   ? 0
                   : qvm_fail_memory(err, scan->memory->path);
    for (;;) {
        size_t n = (size_t)smaller_u64(unit->done - address, SCAN_BUFFER - 1) + 1;

        if (memory_read_direct(scan->memory, address, a, n, err) != 0 ||
            memory_read_direct(diff->there, address, b, n, err) != 0)
            return -1;
        if (compare(diff, unit, address, a, b, n) != 0)
            return qvm_fail_memory(err, scan->memory->path);
        if (unit->done - address < n)
            return 0;
        address += n;
    }
}

int diff_init(struct diff *diff, struct memory *here, struct memory *there, uint64_t first,
              uint64_t last, uint64_t granularity, unsigned threads, struct qvm_error *err)
{
    static const struct scan_ops ops = {plan, run};

    *diff = (struct diff){.there = there, .granularity = granularity};
    return scan_init(&diff->scan, &ops, here, first, last, 2 * SCAN_BUFFER,
                     there->concurrent ? threads : 1, err);
}

void diff_free(struct diff *diff)
{
    scan_free(&diff->scan);
}
