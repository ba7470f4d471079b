/*
 * Files that are loaded into the guest's memory.
 *
 * Headers are read with the configuration, contents only when needed: the files stay open
 * and must not change.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "conf/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file, and where the configuration loads it. */
struct load {
    const char *path; /* borrowed */
    struct place place;
    bool has_address;
    uint64_t address;
    int fd;           /* -1: not open */
    unsigned machine; /* of an ELF file; 0: the file is loaded as it is */
};

/* Guest addresses `address` to `address` + `size` - 1: `filled` bytes from `offset` of the
   file, then zeros. */
struct extent {
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
    struct extent *extents;
    size_t extent_count;
};

void loads_free(struct loads *loads);

/* The index of the first extent, from index `first` on, that ends at or after `address`;
   the count if there is none. */
size_t loads_from(const struct loads *loads, size_t first, uint64_t address);

/* Reads `size` bytes at `offset` of an extent, which must be in it. Returns 0, or an errno
   value (EIO: the file has become shorter). */
int loads_read(const struct loads *loads, const struct extent *extent, uint64_t offset,
               void *bytes, size_t size);

#endif
