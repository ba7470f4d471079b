/* Finding byte patterns in the physical memory of a dump. */
#ifndef QVM_FIND_H
#define QVM_FIND_H

#include "dump/dump.h"
#include "scan/pattern.h"
#include "scan/scan.h"

struct find {
    struct scan scan; /* results: address, index of the pattern */
    const struct dump *dump;
    struct matcher *matcher; /* owned */
    bool sort;               /* several patterns may be found out of order */
    uint64_t align;
    unsigned char *buffers[PARALLEL_MAX]; /* owned */
};

/* Searches from one address to another, both inclusive, for patterns that begin at
 * multiples of `align` and are wholly there. The dump must outlive it. Memory that is not
 * in the dump, or that a cut file has lost, ends a match. 0, or -1 and nothing to free. */
int find_init(struct find *find, const struct dump *dump, const struct pattern *patterns,
              size_t count, uint64_t first, uint64_t last, uint64_t align,
              struct qvm_error *err);
void find_free(struct find *find);

#endif
