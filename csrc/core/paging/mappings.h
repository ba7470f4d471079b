/* The mappings of an address space: ranges of pages with equal permissions, in ascending
 * order. */
#ifndef QVM_MAPPINGS_H
#define QVM_MAPPINGS_H

#include "paging/address_space.h"

/* The table of a level that the last walk went through. */
struct mappings_table {
    bool used;
    uint64_t address;
    bool uniform; /* of the last level: all entries map with equal permissions, or none maps
                   */
    unsigned char *bytes; /* owned */
};

struct mapping {
    uint64_t first, last; /* virtual addresses, inclusive */
    unsigned perms;       /* PERM_*, see page_table.h */
};

struct mappings {
    const struct space *space;
    uint64_t first;      /* where it began */
    uint64_t left;       /* steps that it may still take: see mappings_init */
    uint64_t next, last; /* what is still to be walked, inclusive */
    bool finished;
    bool open; /* the next pages may extend this range: */
    struct mapping range;
    const struct paging *paging; /* of the tables: */
    struct mappings_table tables[PAGING_LEVELS_MAX];
};

/* Walks from `first` to `last`, both inclusive. The space must outlive it. 0, or -1 and
 * nothing to free. Tables that lead back to themselves map without end, so the number of
 * steps is limited in proportion to the dump's memory; page tables that real guests share
 * stay within the limit. */
int mappings_init(struct mappings *mappings, const struct space *space, uint64_t first,
                  uint64_t last, struct qvm_error *err);
void mappings_free(struct mappings *mappings);

/* The next mapping. What a table maps that is not in the dump is left out. 1, or 0 at the
 * end, or -1. Code incomplete: call once more; too_large: the limit is reached. */
int mappings_next(struct mappings *mappings, struct mapping *range, struct qvm_error *err);

#endif
