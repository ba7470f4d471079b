/* The symbols of a Linux kernel, in the form in which they are in its memory: a name is a
 * row of bytes, each of which stands for a token of some characters. Names stay compressed;
 * a lookup expands those that it compares or returns. kallsyms_reader.h reads the table. */
#ifndef QVM_KALLSYMS_H
#define QVM_KALLSYMS_H

#include "util/error.h"
#include "util/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Real kernels have up to 300000 symbols, with names of 20 bytes on average. */
#define KALLSYMS_COUNT_MAX LIMIT(3 << 17, 1 << 10)
#define KALLSYMS_NAMES_MAX LIMIT(16 << 20, 1 << 12) /* bytes of all expanded names */

enum { KALLSYMS_NAME_MAX = 512, KALLSYMS_TOKENS = 256 };

/* A hash of characters c1 .. cn: the sum of ci * FACTOR^(n-i). That of two texts in a row
 * follows from theirs, so names are hashed token by token. */
struct kallsyms_token {
    uint32_t size, hash;
    uint32_t power; /* FACTOR^size */
    char text[KALLSYMS_NAME_MAX];
};

struct kallsyms_symbol {
    uint64_t address;
    uint32_t name; /* where its compressed name begins */
    uint32_t next; /* the next symbol with such a hash; before that is known, its hash */
};

struct kallsyms {
    struct kallsyms_symbol *symbols; /* ascending; of one address, in the table's order */
    size_t count;
    bool is_upper;     /* the kernel is in the upper half of the addresses */
    uint32_t *buckets; /* the first symbol of each hash, modulo their number */
    size_t bucket_mask;
    unsigned char *names; /* compressed: for each its length, and its bytes */
    size_t names_size;
    uint32_t powers[KALLSYMS_NAME_MAX + 1]; /* of FACTOR */
    struct kallsyms_token tokens[KALLSYMS_TOKENS];
};

/* An empty table. NULL: out of memory. */
struct kallsyms *kallsyms_new(struct qvm_error *err);
void kallsyms_free(struct kallsyms *table);

/* Completes a token whose text and size are set. */
void kallsyms_hash_token(struct kallsyms *table, unsigned token);

/* The name that n compressed bytes stand for, with the letter of its type. Returns its
 * size; more than KALLSYMS_NAME_MAX: it is too long. *hash: of the name without that
 * letter. */
size_t kallsyms_measure(const struct kallsyms *table, const unsigned char *bytes, size_t n,
                        uint32_t *hash);

/* Sorts the symbols by address and makes the index of their names, once all are there and
 * `next` has the hash of each. 0, or -1: out of memory. */
int kallsyms_finish(struct kallsyms *table, struct qvm_error *err);

/* The length of the name that begins at `at`, 0 to 32767; *at moves to its first byte. The
 * table of names counts as followed by zeros. */
size_t kallsyms_length(const struct kallsyms *table, size_t *at);

/* Expands the name that begins at `at`, without the letter of its type. Returns its size.
 */
size_t kallsyms_name(const struct kallsyms *table, size_t at, char name[KALLSYMS_NAME_MAX]);

/* The symbol that contains an address. */
struct kallsyms_place {
    size_t index;
    int64_t offset,
        size; /* offset into the symbol, bytes to the next address that has one */
};

/* False: none does. Of several symbols at one address it is the first. */
bool kallsyms_at(const struct kallsyms *table, uint64_t address,
                 struct kallsyms_place *place);

/* Bytes from a symbol to the next one at another address; 0: it is the last. */
uint64_t kallsyms_size(const struct kallsyms *table, size_t index);

/* The lowest address of a name. False: there is none. */
bool kallsyms_address(const struct kallsyms *table, const char *name, size_t size,
                      uint64_t *address);

#endif
