/* The printable strings in the physical memory of a dump. */
#ifndef QVM_STRINGS_H
#define QVM_STRINGS_H

#include "dump/dump.h"
#include "scan/results.h"

/* A longer string is given in pieces of so many bytes. */
#define STRINGS_PART 65536

struct strings {
    const struct dump *dump;
    size_t min;
    uint64_t next, last; /* addresses, inclusive */
    bool finished;
    uint64_t start;       /* address of the string that is open */
    size_t open;          /* bytes of it, which stand at the end of `text` */
    bool run;             /* it goes on with one that was given */
    char *text;           /* owned: the strings found by the last step, one after another */
    size_t size, room;    /* bytes */
    struct results found; /* address, and bytes */
    unsigned char *buffer; /* owned */
};

/* Looks from one address to another, both inclusive, for strings of at least `min` bytes,
 * from 1 to STRINGS_PART: ASCII from blank to tilde, and tabs. The dump must outlive it.
 * 0, or -1 and nothing to free. */
int strings_init(struct strings *strings, const struct dump *dump, size_t min,
                 uint64_t first, uint64_t last, struct qvm_error *err);
void strings_free(struct strings *strings);

/* Does some more: `found` are the strings that ended there, in `text`. 1, or 0 at the end,
 * or -1. Code incomplete: call once more. */
int strings_step(struct strings *strings, struct qvm_error *err);

#endif
