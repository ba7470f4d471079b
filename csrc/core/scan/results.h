/* A growing list of pairs: what a pass over memory has found. */
#ifndef QVM_RESULTS_H
#define QVM_RESULTS_H

#include <stddef.h>
#include <stdint.h>

struct result {
    uint64_t a, b;
};

struct results {
    struct result *items; /* owned */
    size_t count, room;
};

/* 0, or -1: out of memory. */
int results_add(struct results *results, uint64_t a, uint64_t b);
void results_free(struct results *results);

/* Into ascending order, by a and then by b. */
void results_sort(struct results *results);

#endif
