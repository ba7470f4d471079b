/* The stepper that find, strings and diff share. A scan walks memory in ascending order, a
 * step at a time, so that its caller can look for Ctrl-C and report progress in between.
 *
 * A step plans some units and runs them, on more than one thread where there is much to do;
 * nothing runs between steps. A unit is a range of addresses at which something may begin
 * that is to be found; it may end past the unit. So units are independent of each other,
 * and their results, taken in the order of the units, are in order of address. */
#ifndef QVM_SCAN_H
#define QVM_SCAN_H

#include "scan/found.h"
#include "scan/parallel_for.h"
#include "util/limits.h"
#include "util/memory.h"

enum {
    SCAN_UNITS = LIMIT(64, 16),          /* at most, in one step */
    SCAN_UNIT = LIMIT(1 << 20, 1 << 10), /* bytes of a unit, more or less */
    SCAN_BUFFER =
        LIMIT(256 << 10, 512), /* bytes that are read at once: they stay in the cache */
    SCAN_FOUND = LIMIT(16384, 128), /* a unit that has found so many stops */
    SCAN_EXTENTS = LIMIT(4096, 4)   /* extents that a planner skips at once */
};

struct scan_unit {
    uint64_t first, last; /* inclusive */
    int kind;             /* the planner's */
    /* Set by run. `stopped`: the unit has found enough, and is done only up to `done`; the
     * scan goes on after that, with `state` (the run's) in scan->resume_state. */
    struct found found;
    bool stopped;
    uint64_t done;
    int state;
};

struct scan;

struct scan_ops {
    /* Plans the next unit from scan->next on, and calls scan_pass for it and for what it
     * skips. 1; 0: none, or, if the scan is not finished, none yet; -1. */
    int (*plan)(struct scan *scan, struct scan_unit *unit, struct qvm_error *err);
    /* 0, or -1: nothing of the unit counts. Several threads call it, each with a worker
     * number of its own. */
    int (*run)(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err);
};

struct scan {
    const struct scan_ops *ops;
    struct memory *memory;
    uint64_t first;      /* where it began */
    uint64_t next, last; /* what is still to be planned for, inclusive */
    bool finished;       /* nothing is left to plan */
    /* For scan_progress: bytes in total (0: not yet counted); bytes done, in the memory
     * before an address, or in units where the memory is not known in advance. */
    uint64_t total, done, counted;
    uint64_t left; /* what it may still cost: see memory_ops.scan_limit */

    /* For scan_extent: the extent that it found last, for each of the memories. */
    struct {
        struct memory *memory;
        uint64_t first;
        struct extent extent;
    } known[2];

    /* Where the last unit that stopped was resumed, and how. */
    uint64_t resume_at;
    int resume_state;

    struct scan_unit units[SCAN_UNITS];
    size_t planned, ready; /* units of this step; those whose results are there */
    size_t width;          /* units that the next step may plan */

    unsigned workers;                     /* 1 to PARALLEL_MAX */
    void *blocks[PARALLEL_MAX];           /* owned, one for each worker */
    unsigned char *buffers[PARALLEL_MAX]; /* in them */
    /* Of this step: for each unit 0, or 1 and the worker that failed; for each worker the
     * error of its first unit that failed. */
    unsigned failed[SCAN_UNITS];
    bool has_error[PARALLEL_MAX];
    struct qvm_error errors[PARALLEL_MAX];
};

/* Scans from `first` to `last`, both inclusive. Each worker has a buffer of `buffer_size`
 * bytes. At most `threads` run; 0: as many as help. The memory must outlive the scan. 0, or
 * -1 and nothing to free. */
int scan_init(struct scan *scan, const struct scan_ops *ops, struct memory *memory,
              uint64_t first, uint64_t last, size_t buffer_size, unsigned threads,
              struct qvm_error *err);
void scan_free(struct scan *scan);

/* Does some more, and leaves it in the first `ready` of units, which may be none. 1; 0
 * at the end, when nothing is left; -1: failed. What was found before the place that fails
 * is given first, so it is the next call that fails. Code incomplete: call once more;
 * too_large: see memory_ops.scan_limit. */
int scan_step(struct scan *scan, struct qvm_error *err);

/* How many bytes of memory are done, and *total in all; 0 in all where page tables say what
 * memory there is. */
uint64_t scan_progress(struct scan *scan, uint64_t *total);

/* For planners. ------------------------------------------------------------------------ */

/* Moves on past an address; past the last one the scan is finished. */
void scan_pass(struct scan *scan, uint64_t address);

/* The extent of `memory`, which is the scan's or the one that it is compared with, at an
 * address. */
int scan_extent(struct scan *scan, struct memory *memory, uint64_t address,
                struct extent *extent, struct qvm_error *err);

/* Makes a unit of data that begins at scan->next and certainly goes on up to `last`: of up
 * to `size` bytes, as far as data follows without a gap. */
void scan_plan_data(struct scan *scan, struct scan_unit *unit, uint64_t last, uint64_t size,
                    bool zeros_are_data);

/* For runs. ---------------------------------------------------------------------------- */

/* How many bytes to read next, up to SCAN_BUFFER, from an address that a unit has come to.
 * Past the unit as many as belong already to what is being looked at, `open`, more or less:
 * a small unit does not cost a large read. *n = 0: that is the end of memory, or of the
 * scan, or it is past the unit and nothing is open. Returns 0, or -1. */
int scan_read_size(struct scan *scan, const struct scan_unit *unit, uint64_t address,
                   uint64_t open, size_t *n, struct qvm_error *err);

#endif
