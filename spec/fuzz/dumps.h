/* Dumps that a target makes of what an input describes, and what must hold for every one
 * that was opened. */
#ifndef FUZZ_DUMPS_H
#define FUZZ_DUMPS_H

#include "fuzz.h"

struct fuzz_segment {
    uint32_t type;
    uint64_t paddr, filesz, memsz, offset;
};

/* Writes an ELF core's headers to a file of fuzz_file: 64 bits, little-endian. Returns its
 * path. */
const char *fuzz_dump(unsigned file, uint16_t machine, const struct fuzz_segment *segments,
                      unsigned count);

/* A small physical memory, and a file that holds most of it: what the segments that an
 * input describes leave out is not there, what is not written is a hole, what the file has
 * lost is cut off. NULL where it cannot be opened. */
enum { FUZZ_MEMORY = 20 << 10 };
struct fuzz_memory {
    uint64_t base;
    bool there[FUZZ_MEMORY];
    unsigned char bytes[FUZZ_MEMORY];
};
struct dump *fuzz_fill(unsigned file, struct fuzz_memory *memory, struct fuzz_input *input);

/* Where segments have the byte at an address, told one segment after another. */
enum fuzz_where { FUZZ_NOWHERE, FUZZ_IN_FILE, FUZZ_ZERO, FUZZ_LOST };
enum fuzz_where fuzz_where(const struct dump *dump, uint64_t address, uint64_t *offset);

/* Ranges ascending, merged, as the segments have them; sums, reads and reaches that agree.
 */
void fuzz_check_memory(const struct dump *dump, uint64_t seed);

#endif
