/* Comparing the physical memory of two dumps. */
#ifndef QVM_DIFF_H
#define QVM_DIFF_H

#include "dump/dump.h"
#include "scan/scan.h"

#define DIFF_GRANULARITY_MAX (UINT64_C(1) << 30)

enum diff_kind {
    DIFF_CHANGED,   /* in both, with other bytes */
    DIFF_ONLY_HERE, /* in the first one only */
    DIFF_ONLY_THERE /* in the second one only */
};

struct diff {
    struct scan scan; /* a unit's kind: what its results are, first and last addresses */
    const struct dump *here, *there;
    uint64_t granularity;
    unsigned char *buffers[PARALLEL_MAX]; /* owned: the one's bytes, then the other's */
};

/* Compares from one address to another, both inclusive. What differs is extended to
 * multiples of `granularity`, a power of two up to the maximum, as far as both have memory.
 * Memory that a cut file has lost counts as not there. Both dumps must outlive it. 0, or -1
 * and nothing to free. */
int diff_init(struct diff *diff, const struct dump *here, const struct dump *there,
              uint64_t first, uint64_t last, uint64_t granularity, struct qvm_error *err);
void diff_free(struct diff *diff);

#endif
