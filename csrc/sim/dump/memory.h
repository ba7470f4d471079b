/*
 * The contents of the guest's memory.
 *
 * Where something was loaded there is that. Elsewhere, of each RAM block the first 64 KiB,
 * and the first page of every 16 MiB from its base, hold at each aligned address A the u64
 * A. On top of that, at the base of the first block, stand the string "simulated guest
 * SYSTEM" with its NUL, cut off at 0x100, and at 0x100 the u64 number of the dump.
 * Everything else is zero.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include "dump/sink.h"
#include "vm/vm.h"

#include <stddef.h>
#include <stdint.h>

/* Writes the memory of RAM block `block`, without the report's, for dump `number`. */
void memory_write(const struct vm *vm, size_t block, uint64_t number, struct sink *sink);

#endif
