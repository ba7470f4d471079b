/* The physical memory that a dump holds: which addresses, and where in the file. */
#ifndef QVM_MEMORY_MAP_H
#define QVM_MEMORY_MAP_H

#include "dump/elf.h"

#include <stddef.h>

/* The offset of a piece that is in no file and reads as zeros. */
#define RUN_ZEROS UINT64_MAX

/* A piece of memory that is contiguous in the file. `last` is inclusive, so that a piece
 * may end at the top of the address space. */
struct memory_run {
    uint64_t first, last, offset;
};

/* Ascending, without overlap: where segments overlap, the first in the file's order wins.
 */
struct memory_map {
    struct memory_run *runs;
    size_t count;
    /* Segments whose memory another segment, earlier in the file, has from elsewhere in the
     * file: how many, and where the first of them begins to. */
    unsigned overlaps;
    uint64_t overlap_at;
};

/* More memory than this is too_large: no machine has it, and a sum of sizes stays a
 * positive int64_t. */
#define MEMORY_MAP_BYTES_MAX ((uint64_t)INT64_MAX)

/* 0, or -1 and nothing to free. Memory that is in no file (memsz beyond
 * filesz) is zeros if the format says so, else not part of it. */
int memory_map_build(struct memory_map *map, const struct elf *elf, bool zeros,
                     const struct image_file *file, struct qvm_error *err);
void memory_map_free(struct memory_map *map);

/* Iterates over the contiguous ranges of memory, which may take several runs: the range
 * that begins with the run of this index, and moves the index on. False: there are no more.
 */
bool memory_map_next(const struct memory_map *map, size_t *index, uint64_t *first,
                     uint64_t *last);

/* The piece that holds an address; where none does, the first one above it, or count. */
size_t memory_map_find(const struct memory_map *map, uint64_t address);

#endif
