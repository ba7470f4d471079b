/*
 * The content of the guest's memory: that of a guest, or of a dump of one. If the VM has
 * neither, from the highest priority to the lowest:
 * - what was loaded from files;
 * - at the base of the first block, the string "simulated guest SYSTEM" with its NUL, cut
 *   off at 0x100, and at 0x100 the number of the dump as a u64;
 * - in the first 64 KiB of each block, and in the first page of every 16 MiB from its base,
 *   the u64 A at each aligned address A;
 * - zeros.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include "dump/sink.h"
#include "vm/vm.h"

#include <stddef.h>
#include <stdint.h>

/* Writes the memory of RAM block `block`, without the report, for dump `number`. */
void memory_write(const struct vm *vm, size_t block, uint64_t number, struct sink *sink);

#endif
