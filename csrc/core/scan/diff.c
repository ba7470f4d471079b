#include "scan/diff.h"

#include "dump/extent.h"
#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

static bool is_there(const struct extent *extent)
{
    return extent->kind == EXTENT_DATA || extent->kind == EXTENT_ZEROS;
}

/* A unit of memory that both have, to be compared; unit->last is how far that goes on for
 * sure. It ends with a multiple of the granularity, or where memory ends in one of them; a
 * hole may end elsewhere. Goes on in both at once: one may be in many small pieces where
 * the other has none. */
static void plan_memory(const struct diff *diff, struct scan_unit *unit)
{
    uint64_t size = diff->granularity > SCAN_UNIT ? diff->granularity : SCAN_UNIT;
    uint64_t end = smaller_u64(unit->first | (size - 1), diff->scan.last);

    while (unit->last < end) {
        struct extent here = extent_at(diff->here, unit->last + 1, end);
        struct extent there = extent_at(diff->there, unit->last + 1, end);

        if (!is_there(&here) || !is_there(&there))
            return;
        if (here.kind == EXTENT_ZEROS && there.kind == EXTENT_ZEROS)
            end = smaller_u64(end, unit->last | (diff->granularity - 1));
        unit->last = smaller_u64(smaller_u64(here.last, there.last), end);
    }
    unit->last = end;
}

/* Zeros in both, which need no looking at: but only whole multiples of the granularity, or
 * what else belongs to one is not seen. */
static bool pass_zeros(struct diff *diff, struct scan_unit *unit)
{
    uint64_t mask = diff->granularity - 1, behind = unit->last + 1;

    if (unit->last != diff->scan.last && (behind & mask) != 0) {
        behind &= ~mask;
        if (behind <= unit->first)
            return false;
        unit->last = behind - 1;
    }
    scan_pass(&diff->scan, unit->last);
    return true;
}

static bool plan(struct scan *scan, struct scan_unit *unit)
{
    struct diff *diff = (struct diff *)scan;

    for (unsigned extents = 0; !scan->finished && extents < SCAN_EXTENTS; extents++) {
        struct extent here = extent_at(diff->here, scan->next, scan->last);
        struct extent there = extent_at(diff->there, scan->next, scan->last);

        unit->first = scan->next;
        unit->last = smaller_u64(here.last, there.last);
        if (here.kind == EXTENT_ZEROS && there.kind == EXTENT_ZEROS &&
            pass_zeros(diff, unit))
            continue;
        unit->kind = is_there(&here) ? DIFF_ONLY_HERE : DIFF_ONLY_THERE;
        if (is_there(&here) && is_there(&there)) {
            unit->kind = DIFF_CHANGED;
            plan_memory(diff, unit);
        }
        scan_pass(scan, unit->last);
        if (is_there(&here) || is_there(&there))
            return true;
    }
    return false;
}

/* Adds a range, or extends the last one to it. */
static int add(struct results *results, uint64_t first, uint64_t last)
{
    struct result *before = results->count ? &results->items[results->count - 1] : NULL;

    if (before && first <= before->b + 1) {
        if (last > before->b)
            before->b = last;
        return 0;
    }
    return results_add(results, first, last);
}

/* The first place from i on where a and b differ, or n. */
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

/* Adds what differs in n bytes at an address, which is in the unit. */
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
        if (add(&unit->results, first, last) != 0)
            return -1;
        if (unit->results.count >= SCAN_RESULTS && last < unit->last) {
            unit->done = last;
            return 0;
        }
    }
    return 0;
}

static int run(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    const struct diff *diff = (const struct diff *)scan;
    unsigned char *a = diff->buffers[worker], *b = a + SCAN_BUFFER;
    uint64_t address = unit->first;

    if (unit->kind != DIFF_CHANGED)
        return add(&unit->results, unit->first, unit->last) == 0
                   ? 0
                   : qvm_fail_memory(err, diff->here->file.path);
    for (;;) {
        uint64_t left = unit->done - address;
        size_t n = left < SCAN_BUFFER ? (size_t)left + 1 : SCAN_BUFFER;

        if (dump_read(diff->here, address, a, n, err) != 0 ||
            dump_read(diff->there, address, b, n, err) != 0)
            return -1;
        if (compare(diff, unit, address, a, b, n) != 0)
            return qvm_fail_memory(err, diff->here->file.path);
        if (unit->done - address < n)
            return 0;
        address += n;
    }
}

int diff_init(struct diff *diff, const struct dump *here, const struct dump *there,
              uint64_t first, uint64_t last, uint64_t granularity, struct qvm_error *err)
{
    *diff = (struct diff){.here = here, .there = there, .granularity = granularity};
    diff->scan.next = first;
    diff->scan.last = last;
    diff->scan.finished = first > last;
    diff->scan.plan = plan;
    diff->scan.run = run;
    scan_init(&diff->scan, !here->file.gzip && !there->file.gzip);
    for (unsigned i = 0; i < diff->scan.workers; i++) {
        diff->buffers[i] = malloc(2 * SCAN_BUFFER);
        if (!diff->buffers[i]) {
            diff_free(diff);
            return qvm_fail_memory(err, here->file.path);
        }
    }
    return 0;
}

void diff_free(struct diff *diff)
{
    for (unsigned i = 0; i < PARALLEL_MAX; i++) {
        free(diff->buffers[i]);
        diff->buffers[i] = NULL;
    }
    scan_free(&diff->scan);
}
