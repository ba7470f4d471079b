/* A pass over memory in ascending order, a step at a time, so that a caller can look up in
 * between and stop. A step is some units of work, which run on more than one processor
 * where there is much to do; their results come in order of address. Nothing runs between
 * steps. */
#ifndef QVM_SCAN_H
#define QVM_SCAN_H

#include "scan/parallel_for.h"
#include "scan/results.h"
#include "util/error.h"

#include <stdbool.h>

enum {
    SCAN_UNITS = 64,         /* at most, in one step */
    SCAN_UNIT = 1 << 20,     /* bytes of a unit, more or less */
    SCAN_BUFFER = 256 << 10, /* bytes that are read at once: they stay in the cache */
    SCAN_RESULTS = 16384,    /* a unit that has found so many stops */
    SCAN_EXTENTS = 4096      /* spans that a planner passes at once */
};

struct scan_unit {
    uint64_t first, last; /* addresses, inclusive */
    int kind;             /* the planner's */
    /* Set by run: what was found, and how far it got, if that is not `last`. */
    struct results results;
    uint64_t done;
};

struct scan {
    uint64_t next, last; /* addresses that are still to be planned for, inclusive */
    bool finished;       /* nothing is left to plan */

    /* Plans the next unit from `next` on, and moves that behind it or sets finished. False:
     * there is none, or, if not finished, none yet. */
    bool (*plan)(struct scan *scan, struct scan_unit *unit);
    /* 0, or -1: nothing of the unit counts. Called from several threads, each with buffers
     * of its own. */
    int (*run)(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err);

    unsigned workers; /* at most PARALLEL_MAX */
    size_t width;     /* units in the next step */
    struct scan_unit units[SCAN_UNITS];
    size_t ready; /* units whose results are there */
    size_t planned;
    /* Of this step, while it runs. */
    struct qvm_error errors[PARALLEL_MAX];
    int failed[SCAN_UNITS]; /* 1 and the worker */
};

/* To be called once `next`, `last`, `plan` and `run` are set; `parallel`: more than one
 * thread may run units. */
void scan_init(struct scan *scan, bool parallel);
void scan_free(struct scan *scan);

/* Moves behind an address; past the last one the sweep is finished. */
void scan_pass(struct scan *scan, uint64_t address);

/* Does some more, and leaves it in units[0] up to units[ready], which may be nothing. 1, or
 * 0 at the end, when nothing is left, or -1: failed; what was found before the place is
 * given first, so that it is the next call that fails. Code incomplete: call once more. */
int scan_step(struct scan *scan, struct qvm_error *err);

#endif
