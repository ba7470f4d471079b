/* Comparing the physical memory of two dumps. */
#ifndef QVM_DIFFER_H
#define QVM_DIFFER_H

#include "dump/dump.h"
#include "scan/scan.h"

#define DIFFER_GRANULARITY_MAX (UINT64_C(1) << 30)

enum differ_kind {
    DIFFER_CHANGED,   /* in both, with other bytes */
    DIFFER_ONLY_HERE, /* in the first one only */
    DIFFER_ONLY_THERE /* in the second one only */
};

struct differ {
    struct sweep sweep; /* a unit's kind: what its results are, first and last addresses */
    const struct dump *here, *there;
    uint64_t granularity;
    unsigned char *buffers[TEAM_MAX]; /* owned: the one's bytes, then the other's */
};

/* Compares from one address to another, both inclusive. What differs is extended to
 * multiples of `granularity`, a power of two up to the maximum, as far as both have memory.
 * Memory that a cut file has lost counts as not there. Both dumps must outlive it. 0, or -1
 * and nothing to free. */
int differ_start(struct differ *differ, const struct dump *here, const struct dump *there,
                 uint64_t first, uint64_t last, uint64_t granularity,
                 struct qvm_error *err);
void differ_free(struct differ *differ);

#endif
