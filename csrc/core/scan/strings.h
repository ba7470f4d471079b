/* The printable strings in memory. */
#ifndef QVM_STRINGS_H
#define QVM_STRINGS_H

#include "scan/scan.h"
#include "util/limits.h"

/* A longer string is given in parts of so many bytes. */
#define STRINGS_PART LIMIT(65536, 128)

struct strings_text {
    char *bytes; /* owned */
    size_t size, room;
};

struct strings {
    struct scan scan; /* found: the addresses of strings, first and last byte */
    size_t min;
    struct strings_text texts[SCAN_UNITS]; /* of each unit's strings, one after another */
};

/* Looks from `first` to `last`, both inclusive, for strings of at least `min` bytes, from 1
 * to STRINGS_PART: ASCII from blank to tilde, and tabs. A gap in memory ends a string. See
 * scan_init. */
int strings_init(struct strings *strings, struct memory *memory, size_t min, uint64_t first,
                 uint64_t last, unsigned threads, struct qvm_error *err);
void strings_free(struct strings *strings);

#endif
