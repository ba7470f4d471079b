/*
 * What was loaded from files into the guest's memory.
 *
 * Headers are read with the configuration, bytes when they are needed: the files stay open
 * and must not be changed.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "conf/place.h"

#include <stddef.h>
#include <stdint.h>

/* A file, and where the configuration loads it. */
struct load {
    const char *path; /* borrowed */
    struct place place;
    int fd;
    unsigned machine; /* of an ELF file; 0: bytes as they are */
};

/* Guest addresses `address` to `address` + `size` - 1: `filled` bytes from `offset` of the
   file, then zeros. */
struct piece {
    uint64_t address;
    uint64_t size;
    uint64_t filled;
    uint64_t offset;
    size_t load;      /* index among the files */
    unsigned segment; /* index among the ELF file's program headers */
};

/* Starts all zero. Pieces are not empty and do not overlap; ascending by address. */
struct loads {
    struct load *files;
    size_t file_count;
    struct piece *pieces;
    size_t piece_count;
};

void loads_free(struct loads *loads);

/* The index of the first piece, from index `first` on, that reaches to `address` or behind
   it; the count, if there is none. */
size_t loads_from(const struct loads *loads, size_t first, uint64_t address);

/* Reads `size` bytes at `offset` of a piece, which must be in it. Returns 0, or an errno
   value (EIO: the file has become shorter). */
int loads_read(const struct loads *loads, const struct piece *piece, uint64_t offset,
               void *bytes, size_t size);

#endif
