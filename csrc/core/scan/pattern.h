/* Finding byte patterns in a stream: every place of every pattern, overlapping ones too, in
 * time that is linear in the bytes whatever they and the patterns are. */
#ifndef QVM_PATTERN_H
#define QVM_PATTERN_H

#include "scan/results.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of all patterns together: each takes some 30 bytes of memory. */
#define MATCHER_SIZE_MAX (1u << 20)

struct pattern {
    const unsigned char *bytes;
    size_t size; /* from 1 */
};

struct matcher;

/* Does not keep the patterns. NULL on failure: out of memory. */
struct matcher *matcher_new(const struct pattern *patterns, size_t count,
                            struct qvm_error *err);
void matcher_free(struct matcher *matcher);

/* Bytes of the longest pattern. */
size_t matcher_longest(const struct matcher *matcher);

/* Bytes of zeros that a pattern begins with, the one that has the most. */
size_t matcher_zeros(const struct matcher *matcher);

/* Is one of them nothing but zeros? */
bool matcher_has_zeros(const struct matcher *matcher);

/* Where in the patterns the stream's last bytes are; 0 is in none. */
typedef uint32_t matcher_state;

/* How many of the stream's last bytes may be the beginning of a match. */
size_t matcher_depth(const struct matcher *matcher, matcher_state state);

/* Takes n more bytes, which stand at an address; fewer, as *taken tells, once there are
 * `enough` results. Adds a result (the address where a match begins, the pattern's index)
 * for each match that ends in them, in the order of the ends. 0, or -1: out of memory. */
int matcher_feed(const struct matcher *matcher, matcher_state *state,
                 const unsigned char *bytes, size_t n, uint64_t address,
                 struct results *results, size_t enough, size_t *taken);

#endif
