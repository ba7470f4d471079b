#include "scan/diff.h"

#include "dump/extent.h"
#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

static bool is_there(const struct span *span)
{
    return span->kind == SPAN_DATA || span->kind == SPAN_ZEROS;
}

/* A unit of memory that both have, to be compared; unit->last is how far that goes on for
 * sure. It ends with a multiple of the granularity, or where memory ends in one of them; a
 * hole may end elsewhere. Goes on in both at once: one may be in many small pieces where
 * the other has none. */
static void plan_memory(const struct differ *differ, struct sweep_unit *unit)
{
    uint64_t size = differ->granularity > SWEEP_UNIT ? differ->granularity : SWEEP_UNIT;
    uint64_t end = smaller_u64(unit->first | (size - 1), differ->sweep.last);

    while (unit->last < end) {
        struct span here = span_at(differ->here, unit->last + 1, end);
        struct span there = span_at(differ->there, unit->last + 1, end);

        if (!is_there(&here) || !is_there(&there))
            return;
        if (here.kind == SPAN_ZEROS && there.kind == SPAN_ZEROS)
            end = smaller_u64(end, unit->last | (differ->granularity - 1));
        unit->last = smaller_u64(smaller_u64(here.last, there.last), end);
    }
    unit->last = end;
}

/* Zeros in both, which need no looking at: but only whole multiples of the granularity, or
 * what else belongs to one is not seen. */
static bool pass_zeros(struct differ *differ, struct sweep_unit *unit)
{
    uint64_t mask = differ->granularity - 1, behind = unit->last + 1;

    if (unit->last != differ->sweep.last && (behind & mask) != 0) {
        behind &= ~mask;
        if (behind <= unit->first)
            return false;
        unit->last = behind - 1;
    }
    sweep_pass(&differ->sweep, unit->last);
    return true;
}

static bool plan(struct sweep *sweep, struct sweep_unit *unit)
{
    struct differ *differ = (struct differ *)sweep;

    for (unsigned spans = 0; !sweep->finished && spans < SWEEP_SPANS; spans++) {
        struct span here = span_at(differ->here, sweep->next, sweep->last);
        struct span there = span_at(differ->there, sweep->next, sweep->last);

        unit->first = sweep->next;
        unit->last = smaller_u64(here.last, there.last);
        if (here.kind == SPAN_ZEROS && there.kind == SPAN_ZEROS && pass_zeros(differ, unit))
            continue;
        unit->kind = is_there(&here) ? DIFFER_ONLY_HERE : DIFFER_ONLY_THERE;
        if (is_there(&here) && is_there(&there)) {
            unit->kind = DIFFER_CHANGED;
            plan_memory(differ, unit);
        }
        sweep_pass(sweep, unit->last);
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
static int compare(const struct differ *differ, struct sweep_unit *unit, uint64_t address,
                   const unsigned char *a, const unsigned char *b, size_t n)
{
    uint64_t mask = differ->granularity - 1;

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
        if (unit->results.count >= SWEEP_RESULTS && last < unit->last) {
            unit->done = last;
            return 0;
        }
    }
    return 0;
}

static int run(struct sweep *sweep, struct sweep_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    const struct differ *differ = (const struct differ *)sweep;
    unsigned char *a = differ->buffers[worker], *b = a + SWEEP_BUFFER;
    uint64_t address = unit->first;

    if (unit->kind != DIFFER_CHANGED)
        return add(&unit->results, unit->first, unit->last) == 0
                   ? 0
                   : qvm_fail_memory(err, differ->here->file.path);
    for (;;) {
        uint64_t left = unit->done - address;
        size_t n = left < SWEEP_BUFFER ? (size_t)left + 1 : SWEEP_BUFFER;

        if (dump_read(differ->here, address, a, n, err) != 0 ||
            dump_read(differ->there, address, b, n, err) != 0)
            return -1;
        if (compare(differ, unit, address, a, b, n) != 0)
            return qvm_fail_memory(err, differ->here->file.path);
        if (unit->done - address < n)
            return 0;
        address += n;
    }
}

int differ_start(struct differ *differ, const struct dump *here, const struct dump *there,
                 uint64_t first, uint64_t last, uint64_t granularity, struct qvm_error *err)
{
    *differ = (struct differ){.here = here, .there = there, .granularity = granularity};
    differ->sweep.next = first;
    differ->sweep.last = last;
    differ->sweep.finished = first > last;
    differ->sweep.plan = plan;
    differ->sweep.run = run;
    sweep_start(&differ->sweep, !here->file.gzip && !there->file.gzip);
    for (unsigned i = 0; i < differ->sweep.workers; i++) {
        differ->buffers[i] = malloc(2 * SWEEP_BUFFER);
        if (!differ->buffers[i]) {
            differ_free(differ);
            return qvm_fail_memory(err, here->file.path);
        }
    }
    return 0;
}

void differ_free(struct differ *differ)
{
    for (unsigned i = 0; i < TEAM_MAX; i++) {
        free(differ->buffers[i]);
        differ->buffers[i] = NULL;
    }
    sweep_free(&differ->sweep);
}
