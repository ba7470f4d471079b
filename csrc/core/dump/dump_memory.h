/* The physical memory of a dump, as scans walk it. */
#ifndef QVM_DUMP_MEMORY_H
#define QVM_DUMP_MEMORY_H

#include "util/memory.h"

struct dump;

extern const struct memory_ops dump_memory_ops;

/* Bytes of memory that the dump's segments have from `first` to `last`, inclusive. */
uint64_t dump_memory_total(const struct dump *dump, uint64_t first, uint64_t last);

#endif
