/* Memory by address, as scans walk it: the physical memory of a dump, or the virtual memory
 * that page tables map. dump/dump_memory.c and paging/space_memory.c implement it. */
#ifndef QVM_MEMORY_H
#define QVM_MEMORY_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum extent_kind {
    EXTENT_NONE,  /* no memory */
    EXTENT_CUT,   /* memory whose bytes are missing from a truncated file */
    EXTENT_ZEROS, /* zeros, known without reading: a hole of a sparse file, or in no file */
    EXTENT_DATA   /* to be read */
};

/* Addresses that are of one kind, from one that the caller knows up to `last`, inclusive.
 */
struct extent {
    enum extent_kind kind;
    uint64_t last;
};

struct memory;

struct memory_ops {
    /* The extent that begins at `address`, cut at `last`. The next extent may be of the
     * same kind. 0, or -1. */
    int (*extent)(struct memory *memory, uint64_t address, uint64_t last,
                  struct extent *extent, struct qvm_error *err);
    /* Reads n bytes, all of them or, after a failure, none that count. 0, or -1. */
    int (*read)(struct memory *memory, uint64_t address, void *to, size_t n,
                struct qvm_error *err);
    /* The same for scans, which read much, and once: by several threads at once, if the
     * memory is `concurrent`. */
    int (*read_direct)(struct memory *memory, uint64_t address, void *to, size_t n,
                       struct qvm_error *err);
    /* Bytes of memory from `first` to `last`, inclusive. NULL: not known in advance. */
    uint64_t (*total)(const struct memory *memory, uint64_t first, uint64_t last);
    /* How many bytes a scan may look through before it fails with too_large. NULL: any
     * number, since the memory is as large as the file says. */
    uint64_t (*scan_limit)(const struct memory *memory);
};

/* The first member of what implements it. */
struct memory {
    const struct memory_ops *ops;
    const char *path; /* names the dump in messages */
    bool concurrent;  /* may several threads scan it at once? */
};

static inline int memory_extent(struct memory *memory, uint64_t address, uint64_t last,
                                struct extent *extent, struct qvm_error *err)
{
    return memory->ops->extent(memory, address, last, extent, err);
}

static inline int memory_read(struct memory *memory, uint64_t address, void *to, size_t n,
                              struct qvm_error *err)
{
    return memory->ops->read(memory, address, to, n, err);
}

static inline int memory_read_direct(struct memory *memory, uint64_t address, void *to,
                                     size_t n, struct qvm_error *err)
{
    return memory->ops->read_direct(memory, address, to, n, err);
}

#endif
