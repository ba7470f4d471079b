/* Comparing two memories. */
#ifndef QVM_DIFF_H
#define QVM_DIFF_H

#include "scan/scan.h"

#define DIFF_GRANULARITY_MAX (UINT64_C(1) << 30)

enum diff_kind {
    DIFF_CHANGED,   /* in both, with other bytes */
    DIFF_ONLY_HERE, /* in the first one only */
    DIFF_ONLY_THERE /* in the second one only */
};

struct diff {
    struct scan scan; /* over the first one; a unit's kind is that of what it has found */
    struct memory *there;
    uint64_t granularity;
};

/* Compares from `first` to `last`, both inclusive. What differs is extended to multiples of
 * `granularity`, a power of two up to the maximum, as far as both have memory. Memory that
 * a cut file has lost counts as not there. Ranges that adjoin are reported as they are
 * found: steps and units divide them. Both must outlive it. See scan_init. */
int diff_init(struct diff *diff, struct memory *here, struct memory *there, uint64_t first,
              uint64_t last, uint64_t granularity, unsigned threads, struct qvm_error *err);
void diff_free(struct diff *diff);

#endif
