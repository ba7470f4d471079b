/* What a dump has at an address, and how far the same goes on: for passes over memory that
 * must not pay for what is not there. */
#ifndef QVM_SPAN_H
#define QVM_SPAN_H

#include "dump/dump.h"

enum span_kind {
    SPAN_NONE,  /* not in the dump */
    SPAN_CUT,   /* the file has lost it */
    SPAN_ZEROS, /* zeros, known without reading: a hole of a sparse file, or in no file */
    SPAN_DATA   /* to be read */
};

struct span {
    enum span_kind kind;
    uint64_t last; /* address, inclusive */
};

/* The span that begins at an address and ends at `last` at the latest. A hole that is not
 * worth the trouble is data. */
struct span span_at(const struct dump *dump, uint64_t address, uint64_t last);

/* How many bytes of memory the dump's ranges have between two addresses, both inclusive. */
uint64_t span_total(const struct dump *dump, uint64_t first, uint64_t last);

#endif
