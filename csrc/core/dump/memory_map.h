/* The physical memory that a dump holds: which addresses, and where they are in the file.
 */
#ifndef QVM_MEMORY_MAP_H
#define QVM_MEMORY_MAP_H

#include "dump/elf.h"

#include <stddef.h>

/* The offset of a run that is in no file and reads as zeros. */
#define RUN_ZEROS UINT64_MAX

/* Memory that is contiguous in the file too. `last` is inclusive, so that a run may end at
 * the top of the address space. */
struct memory_run {
    uint64_t first, last, offset;
};

/* Runs in ascending order, without overlap: where segments overlap, the first in the file's
 * order wins. */
struct memory_map {
    struct memory_run *runs; /* owned */
    size_t count;
    /* How many segments have memory that an earlier one in the file has too, with other
     * bytes of the file; and the address where that of the first of them begins. */
    unsigned overlaps;
    uint64_t overlap_at;
};

/* More memory than this is too_large: no machine has it, and a sum of sizes stays a
 * positive int64_t. */
#define MEMORY_MAP_BYTES_MAX ((uint64_t)INT64_MAX)

/* Makes the map. With `zero_fill`, memory that is in no file (memsz beyond filesz) is
 * zeros, else it is not part of the map. 0, or -1 and nothing to free: code too_large also
 * where the segments show the bytes of the file again and again. */
int memory_map_init(struct memory_map *map, const struct elf *elf, bool zero_fill,
                    const struct image_file *file, struct qvm_error *err);
void memory_map_free(struct memory_map *map);

/* The index of the run that holds an address; where none does, of the first one above it,
 * or count. */
size_t memory_map_find(const struct memory_map *map, uint64_t address);

/* Iterates over the contiguous ranges of memory, which may take several runs: the range
 * that begins with the run at *index, which is moved on. False: there are no more. */
bool memory_map_next(const struct memory_map *map, size_t *index, uint64_t *first,
                     uint64_t *last);

#endif
