/* What a scan has found: a growing list of address ranges. */
#ifndef QVM_FOUND_H
#define QVM_FOUND_H

#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t first, last; /* inclusive */
};

struct found {
    struct range *ranges; /* owned */
    size_t count, room;
};

/* 0, or -1: out of memory. */
int found_add(struct found *found, uint64_t first, uint64_t last);
void found_free(struct found *found);

#endif
