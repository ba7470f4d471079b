/* Dumps that a target builds from an input, and the invariants of every opened dump. */
#ifndef FUZZ_DUMPS_H
#define FUZZ_DUMPS_H

#include "fuzz.h"

struct fuzz_segment {
    uint32_t type;
    uint64_t paddr, filesz, memsz, offset;
};

/* Writes an ELF core's headers to a file of fuzz_file: 64 bits, little-endian. Returns
 * its path. */
const char *fuzz_dump(unsigned file, uint16_t machine, const struct fuzz_segment *segments,
                      unsigned count);

/* A small physical memory, and a file that holds most of it: memory outside the
 * input's segments is absent, unwritten memory is a hole, and truncated memory is cut
 * off. Returns NULL if the dump cannot be opened. */
enum { FUZZ_MEMORY = 20 << 10 };
struct fuzz_memory {
    uint64_t base;
    bool there[FUZZ_MEMORY];
    unsigned char bytes[FUZZ_MEMORY];
};
struct dump *fuzz_fill(unsigned file, struct fuzz_memory *memory, struct fuzz_input *input);

/* Where the segments have the byte at an address, found by trying each segment in
 * turn. */
enum fuzz_where { FUZZ_NOWHERE, FUZZ_IN_FILE, FUZZ_ZERO, FUZZ_LOST };
enum fuzz_where fuzz_where(const struct dump *dump, uint64_t address, uint64_t *offset);

/* Checks that the memory runs are sorted, merged and equal to the segments, and that
 * sums, reads and lengths agree. */
void fuzz_check_memory(const struct dump *dump, uint64_t seed);

#endif
