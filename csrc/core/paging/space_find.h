/* Finding a byte pattern in the mapped memory of an address space. */
#ifndef QVM_SPACE_FIND_H
#define QVM_SPACE_FIND_H

#include "paging/mappings.h"
#include "scan/pattern.h"

struct space_find {
    struct space *space;
    struct mappings mappings;
    struct matcher *matcher; /* owned */
    matcher_state state;
    bool finished, in_range;
    struct mapping range;
    uint64_t next, last;    /* virtual addresses: the next byte; the last one to look at */
    uint64_t left;          /* bytes that it may still look through */
    uint64_t align;         /* matches begin at its multiples */
    struct results results; /* of the last step: address, 0 */
    unsigned char *buffer;  /* owned */
};

/* Looks from one address to another, both inclusive; a match lies wholly there. What is
 * mapped to memory that the dump has not ends a match. The space must outlive it. 0, or -1
 * and nothing to free. */
int seeker_start(struct space_find *seeker, struct space *space,
                 const struct pattern *pattern, uint64_t first, uint64_t last,
                 uint64_t align, struct qvm_error *err);
void seeker_free(struct space_find *seeker);

/* Does some more. 1, or 0 at the end, or -1. Code incomplete: call once more; too_large:
 * the memory was looked through so often that the page tables must lead back to themselves.
 */
int seeker_step(struct space_find *seeker, struct qvm_error *err);

#endif
