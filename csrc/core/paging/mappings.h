/* The mapped ranges of an address space, in ascending order. */
#ifndef QVM_MAPPINGS_H
#define QVM_MAPPINGS_H

#include "paging/address_space.h"

/* A table that a walk has come through, as it stands in the dump. */
struct mappings_table {
    bool used;
    uint64_t address;
    bool uniform; /* of the last level: all entries map with the same rights, or not at all
                   */
    unsigned char *bytes; /* owned */
};

struct mapping {
    uint64_t first, last; /* virtual addresses, inclusive */
    unsigned perms;       /* as in paging.h */
};

struct mappings {
    const struct space *space;
    uint64_t first;      /* where it began */
    uint64_t left;       /* steps that it may still take: see mappings_init */
    uint64_t next, last; /* what is still to be looked at, inclusive */
    bool finished;
    bool open; /* there is a range that may go on: */
    struct mapping range;
    const struct paging *paging; /* of the tables: */
    struct mappings_table tables[PAGING_LEVELS_MAX];
};

/* Looks from one address to another, both inclusive. The space must outlive it. 0, or -1
 * and nothing to free. Tables that lead back to themselves map without end, so the number
 * of steps is bounded by the dump's memory: page tables there that are looked at several
 * times are within the bound. */
int mappings_init(struct mappings *mappings, const struct space *space, uint64_t first,
                  uint64_t last, struct qvm_error *err);
void mappings_free(struct mappings *mappings);

/* The next range of pages with equal rights. What a table maps that is not in the dump is
 * left out. 1, or 0 at the end, or -1. Code incomplete: call once more; too_large: the
 * bound is reached. */
int mappings_next(struct mappings *mappings, struct mapping *range, struct qvm_error *err);

#endif
