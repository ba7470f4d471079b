/* What a dump has at an address, and up to where: for scans of memory, which must not spend
 * time on what is not there or is known to be zeros. */
#ifndef QVM_EXTENT_H
#define QVM_EXTENT_H

#include "dump/dump.h"

enum extent_kind {
    EXTENT_NONE,  /* not in the dump */
    EXTENT_CUT,   /* in the dump, but the file ends before it */
    EXTENT_ZEROS, /* zeros, known without reading: a hole of a sparse file, or in no file */
    EXTENT_DATA   /* to be read */
};

struct extent {
    enum extent_kind kind;
    uint64_t last; /* address, inclusive */
};

/* The extent that begins at an address and ends at `last` (inclusive) at the latest; where
 * the same kind continues after it, that is another extent. A hole that is too short to be
 * worth finding is data. */
struct extent extent_at(const struct dump *dump, uint64_t address, uint64_t last);

/* How many bytes of memory the dump has between two addresses, both inclusive; those that
 * the file has lost count, too. */
uint64_t extent_total(const struct dump *dump, uint64_t first, uint64_t last);

#endif
