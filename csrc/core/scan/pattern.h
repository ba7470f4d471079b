/* Finding a byte pattern in a stream: every occurrence, overlapping ones too, in time that
 * is linear in the bytes whatever they and the pattern are. */
#ifndef QVM_PATTERN_H
#define QVM_PATTERN_H

#include "scan/found.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_SIZE_MAX (1u << 20)

struct pattern {
    unsigned char *bytes; /* owned */
    size_t size;          /* 1 to PATTERN_SIZE_MAX */
    size_t zeros;         /* zero bytes that it begins with */
    uint32_t *border;     /* owned: see pattern.c */
    /* Of its rarest two bytes, and where they are. */
    unsigned char first, second;
    unsigned first_at, second_at;
};

/* Copies the bytes. 0, or -1 and nothing to free. */
int pattern_init(struct pattern *pattern, const void *bytes, size_t size,
                 struct qvm_error *err);
void pattern_free(struct pattern *pattern);

/* Takes n more bytes of the stream, which are at an address; fewer, as *taken says, once
 * `enough` occurrences are found. *depth is how many of the stream's last bytes may be the
 * beginning of an occurrence: 0 at the start of a stream. Adds each occurrence that ends in
 * these bytes. 0, or -1: out of memory. */
int pattern_feed(const struct pattern *pattern, size_t *depth, const unsigned char *bytes,
                 size_t n, uint64_t address, struct found *found, size_t enough,
                 size_t *taken);

#endif
