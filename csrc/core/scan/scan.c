/* Planning is sequential and cheap: it asks where memory is, not what is in it. Running is
 * parallel. Steps grow from one unit to SCAN_UNITS, so that what is near the beginning is
 * found at once, and a loop that is left early has cost little.
 *
 * How the pieces work together, for three units (as a rule there are more) of which the
 * second finds enough and stops:
 *
 *     plan      [ unit 0 ][ unit 1 ][ unit 2 ]          in order, on the caller's thread
 *     run       worker 0: 0, 2      worker 1: 1         in any order
 *     settle    [ unit 0 ][ unit 1: up to `done` ]      unit 2 is thrown away
 *     next step           planned anew from `done` + 1
 *
 * Results are those of a scan on one thread, whatever the number of workers: settle() takes
 * units in order of address and stops at the first that has not come to its end. */
#include "scan/scan.h"

#include "util/bytes.h"
#include "util/limits.h"
#include "util/os.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PARALLEL_MIN =
        LIMIT(8, 4),   /* units: with fewer a second thread is not worth its start */
    LINE = 64,         /* bytes of a line of the processor's cache */
    EXTENT_COST = 128, /* of asking for an extent, in bytes that are looked through */
    OVERRUN_MIN = 64   /* bytes that are read past a unit at first */
};

/* Compressed files and address spaces have state that reading changes: one thread. */
static unsigned workers_for(const struct memory *memory, unsigned threads)
{
    unsigned workers = memory->concurrent ? os_processors() : 1;

    if (threads > 0 && workers > threads)
        workers = threads;
    return workers < PARALLEL_MAX ? workers : PARALLEL_MAX;
}

/* A buffer at a multiple of a cache line: into others the kernel copies a third more
 * slowly (measured on x86_64). */
static unsigned char *aligned(void *block)
{
    return (unsigned char *)block + (LINE - (uintptr_t)block % LINE) % LINE;
}

/* Each worker reads into a buffer of its own, and a unit stops at SCAN_FOUND results, so
 * the memory of a scan has a bound. */
int scan_init(struct scan *scan, const struct scan_ops *ops, struct memory *memory,
              uint64_t first, uint64_t last, size_t buffer_size, unsigned threads,
              struct qvm_error *err)
{
    scan->ops = ops;
    scan->memory = memory;
    scan->first = scan->next = first;
    scan->last = last;
    scan->finished = first > last;
    scan->left = memory->ops->scan_limit ? memory->ops->scan_limit(memory) : UINT64_MAX;
    scan->width = 1;
    scan->workers = workers_for(memory, threads);
    for (unsigned i = 0; i < scan->workers; i++) {
        scan->blocks[i] = malloc(buffer_size + LINE);
        if (!scan->blocks[i]) {
            scan_free(scan);
            return qvm_fail_memory(err, memory->path);
        }
        scan->buffers[i] = aligned(scan->blocks[i]);
    }
    return 0;
}

void scan_free(struct scan *scan)
{
    for (unsigned i = 0; i < PARALLEL_MAX; i++) {
        free(scan->blocks[i]);
        scan->blocks[i] = NULL;
    }
    for (size_t i = 0; i < SCAN_UNITS; i++)
        found_free(&scan->units[i].found);
}

/* Planning ----------------------------------------------------------------------------- */

/* `last` may be the top of the address space, so the end is a flag: address + 1 would wrap.
 */
void scan_pass(struct scan *scan, uint64_t address)
{
    scan->finished = address >= scan->last;
    if (!scan->finished)
        scan->next = address + 1;
}

/* Only memory that has a limit is charged for. */
static void charge(struct scan *scan, uint64_t bytes)
{
    if (scan->memory->ops->scan_limit)
        scan->left -= smaller_u64(scan->left, bytes);
}

/* A page table that is its own child maps the same few pages at up to 2^36 addresses. All
 * of them are valid, so no check of an entry finds this; only the amount of memory does. */
static int fail_limit(const struct scan *scan, struct qvm_error *err)
{
    return qvm_fail(
        err, QVM_TOO_LARGE,
        "%s: too_large: the page tables map far more than the memory of the dump, as "
        "tables that lead back to themselves do; searched from 0x%016" PRIx64
        " up to 0x%016" PRIx64,
        scan->memory->path, scan->first, scan->next);
}

/* A look-up is charged as reading is, since tables that map nothing but scattered pages
 * cost planning and no reading. The last extent is kept: a large one is divided into many
 * units, and to find its end the file system may go through the whole file. */
int scan_extent(struct scan *scan, struct memory *memory, uint64_t address,
                struct extent *extent, struct qvm_error *err)
{
    unsigned i = memory == scan->memory ? 0 : 1;

    if (scan->left == 0)
        return fail_limit(scan, err);
    charge(scan, EXTENT_COST);
    if (scan->known[i].memory != memory || address < scan->known[i].first ||
        address > scan->known[i].extent.last) {
        scan->known[i].memory = NULL;
        if (memory_extent(memory, address, scan->last, &scan->known[i].extent, err) != 0)
            return -1;
        scan->known[i].memory = memory;
        scan->known[i].first = address;
    }
    *extent = scan->known[i].extent;
    return 0;
}

/* The unit ends after `size` bytes even inside an extent. Extents that adjoin are one unit,
 * so that guests whose memory is in many small extents do not have a unit for each. */
void scan_plan_data(struct scan *scan, struct scan_unit *unit, uint64_t last, uint64_t size,
                    bool zeros_are_data)
{
    uint64_t end = scan->last - scan->next < size ? scan->last : scan->next + (size - 1);
    struct extent more = {0};
    struct qvm_error err; /* the next plan will come upon it again */

    while (last < end && scan_extent(scan, scan->memory, last + 1, &more, &err) == 0 &&
           (more.kind == EXTENT_DATA || (more.kind == EXTENT_ZEROS && zeros_are_data)))
        last = more.last;
    unit->first = scan->next;
    unit->last = smaller_u64(last, end);
    scan_pass(scan, unit->last);
}

/* Running ------------------------------------------------------------------------------ */

/* How many of n bytes from an address on are memory, without a gap. Known zeros count: an
 * occurrence may continue in them. */
static int contiguous(struct memory *memory, uint64_t address, uint64_t n, uint64_t *found,
                      struct qvm_error *err)
{
    struct extent extent;

    for (*found = 0; *found < n; *found = extent.last - address + 1) {
        if (memory_extent(memory, address + *found, address + (n - 1), &extent, err) != 0)
            return -1;
        if (extent.kind != EXTENT_DATA && extent.kind != EXTENT_ZEROS)
            return 0;
    }
    return 0;
}

/*     unit   [first ............ last]
 *     read   [ SCAN_BUFFER ][ ...... ][ overrun ]
 *
 * Within the unit the planner has found memory without a gap, so nothing is asked. Past it,
 * a run reads on only while something that began inside is undecided. Then it reads at
 * least OVERRUN_MIN bytes, and as many more as are open: the reads grow with what is found,
 * and a string of n bytes takes O(log n) of them. */
int scan_read_size(struct scan *scan, const struct scan_unit *unit, uint64_t address,
                   uint64_t open, size_t *n, struct qvm_error *err)
{
    uint64_t found = 0, want = SCAN_BUFFER;

    *n = 0;
    if (address > scan->last || address < unit->first) /* or wrapped around */
        return 0;
    if (address <= unit->last) {
        *n = (size_t)smaller_u64(unit->last - address, want - 1) + 1;
        return 0;
    }
    if (open == 0)
        return 0;
    want = smaller_u64(open < OVERRUN_MIN ? OVERRUN_MIN : open, want);
    want = smaller_u64(scan->last - address, want - 1) + 1;
    if (contiguous(scan->memory, address, want, &found, err) != 0)
        return -1;
    *n = (size_t)found;
    return 0;
}

/* Runs on a worker. It writes only to its unit, to failed[part] and to what has the
 * worker's number, so units need no lock. */
static void run_unit(void *context, size_t part, unsigned worker)
{
    struct scan *scan = context;
    struct scan_unit *unit = &scan->units[part];
    struct qvm_error err; /* a unit that succeeds may leave something in it, too */

    unit->done = unit->last;
    unit->stopped = false;
    unit->found.count = 0;
    scan->failed[part] = scan->ops->run(scan, unit, worker, &err) != 0 ? 1 + worker : 0;
    if (scan->failed[part] && !scan->has_error[worker]) {
        scan->has_error[worker] = true;
        scan->errors[worker] = err;
    }
}

/* The width starts from one unit again: where units stop early, many results are near, and
 * what is run past the place is thrown away. */
static void plan_again_from(struct scan *scan, uint64_t address)
{
    scan->finished = false;
    scan->next = address;
    scan->width = 1;
}

/* Units count up to the first one that failed or stopped: from there on they are planned
 * again. 0, or -1: that was the first one, and it failed. An error is reported only when
 * nothing is before it, so a loop gets all results up to the place that fails, then the
 * error. */
static int settle(struct scan *scan, struct qvm_error *err)
{
    for (scan->ready = 0; scan->ready < scan->planned; scan->ready++) {
        struct scan_unit *unit = &scan->units[scan->ready];
        unsigned failed = scan->failed[scan->ready];

        if (failed) {
            plan_again_from(scan, unit->first);
            if (scan->ready > 0)
                return 0;
            *err = scan->errors[failed - 1];
            return -1;
        }
        if (!scan->memory->ops->total)
            scan->done += unit->done - unit->first + 1;
        charge(scan, unit->done - unit->first + 1);
        if (unit->stopped) {
            plan_again_from(scan, unit->first);
            scan_pass(scan, unit->done);
            scan->resume_at = scan->next;
            scan->resume_state = unit->state;
            scan->ready++;
            return 0;
        }
    }
    return 0;
}

/* A failure of the planner is kept back while there are units to run: the next step plans
 * from the same address and meets it again. The width doubles with each step, so a scan of
 * n units takes O(log SCAN_UNITS + n / SCAN_UNITS) steps. */
int scan_step(struct scan *scan, struct qvm_error *err)
{
    int status = 1;

    scan->ready = scan->planned = 0;
    for (unsigned i = 0; i < PARALLEL_MAX; i++)
        scan->has_error[i] = false;
    while (status > 0 && scan->planned < scan->width && !scan->finished) {
        status = scan->ops->plan(scan, &scan->units[scan->planned], err);
        scan->planned += status > 0;
    }
    if (scan->planned == 0)
        return status < 0 ? -1 : !scan->finished;
    if (scan->width < SCAN_UNITS)
        scan->width *= 2;
    parallel_for(scan->planned < PARALLEL_MIN ? 1 : scan->workers, scan->planned, run_unit,
                 scan);
    return settle(scan, err) == 0 ? 1 : -1;
}

/* Memory that is known in advance is counted between two addresses, each part once.
 * Otherwise settle() has counted the bytes of units. */
uint64_t scan_progress(struct scan *scan, uint64_t *total)
{
    const struct memory *memory = scan->memory;

    if (memory->ops->total && scan->total == 0) {
        scan->total = memory->ops->total(memory, scan->first, scan->last);
        scan->counted = scan->first;
    }
    *total = scan->total;
    if (memory->ops->total && scan->finished)
        scan->done = scan->total;
    else if (memory->ops->total && scan->next > scan->counted) {
        scan->done += memory->ops->total(memory, scan->counted, scan->next - 1);
        scan->counted = scan->next;
    }
    return scan->done;
}
