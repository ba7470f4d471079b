/* What a dump has at an address, and how far the same goes on: for passes over memory that
 * must not pay for what is not there. */
#ifndef QVM_EXTENT_H
#define QVM_EXTENT_H

#include "dump/dump.h"

enum extent_kind {
    EXTENT_NONE,  /* not in the dump */
    EXTENT_CUT,   /* the file has lost it */
    EXTENT_ZEROS, /* zeros, known without reading: a hole of a sparse file, or in no file */
    EXTENT_DATA   /* to be read */
};

struct extent {
    enum extent_kind kind;
    uint64_t last; /* address, inclusive */
};

/* The span that begins at an address and ends at `last` at the latest. A hole that is not
 * worth the trouble is data. */
struct extent extent_at(const struct dump *dump, uint64_t address, uint64_t last);

/* How many bytes of memory the dump's ranges have between two addresses, both inclusive. */
uint64_t extent_total(const struct dump *dump, uint64_t first, uint64_t last);

#endif
