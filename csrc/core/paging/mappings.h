/* The mapped ranges of an address space, in ascending order. */
#ifndef QVM_MAPPER_H
#define QVM_MAPPER_H

#include "paging/address_space.h"

/* A table that a walk has come through, as it stands in the dump. */
struct mapper_table {
    bool used;
    uint64_t address;
    bool uniform; /* of the last level: all entries map with the same rights, or not at all
                   */
    unsigned char *bytes; /* owned */
};

struct mapping_range {
    uint64_t first, last; /* virtual addresses, inclusive */
    unsigned rights;      /* as in paging.h */
};

struct mapper {
    const struct space *space;
    uint64_t first;      /* where it began */
    uint64_t left;       /* steps that it may still take: see mapper_start */
    uint64_t next, last; /* what is still to be looked at, inclusive */
    bool finished;
    bool open; /* there is a range that may go on: */
    struct mapping_range range;
    const struct paging *paging; /* of the tables: */
    struct mapper_table tables[PAGING_LEVELS_MAX];
};

/* Looks from one address to another, both inclusive. The space must outlive it. 0, or -1
 * and nothing to free. Tables that lead back to themselves map without end, so the number
 * of steps is bounded by the dump's memory: page tables there that are looked at several
 * times are within the bound. */
int mapper_start(struct mapper *mapper, const struct space *space, uint64_t first,
                 uint64_t last, struct qvm_error *err);
void mapper_free(struct mapper *mapper);

/* The next range of pages with equal rights. What a table maps that is not in the dump is
 * left out. 1, or 0 at the end, or -1. Code again: call once more; too_large: the bound is
 * reached. */
int mapper_next(struct mapper *mapper, struct mapping_range *range, struct qvm_error *err);

#endif
