/* Finding a byte pattern in memory. */
#ifndef QVM_FIND_H
#define QVM_FIND_H

#include "scan/pattern.h"
#include "scan/scan.h"

struct find {
    struct scan scan; /* found: the addresses of occurrences */
    struct pattern pattern;
    uint64_t align;
};

/* Searches from `first` to `last`, both inclusive, for occurrences that begin at multiples
 * of `align` and lie wholly there. A gap in memory ends an occurrence. See scan_init. */
int find_init(struct find *find, struct memory *memory, const void *bytes, size_t size,
              uint64_t first, uint64_t last, uint64_t align, unsigned threads,
              struct qvm_error *err);
void find_free(struct find *find);

#endif
