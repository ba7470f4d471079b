/*
 * The contents of a guest dump.
 *
 * A little-endian ELF64 core file: header, program headers, one PT_LOAD per RAM block in
 * configuration order, one for the last 64 KiB of the last block (the "dumpinfo" segment),
 * and the note last. p_vaddr is 0, p_paddr the address; segments begin at pages of the
 * file.
 *
 * See memory.h for the memory. The dumpinfo segment holds `struct kdump` and the report.
 *
 * The note is `struct kdump_note` and one record per vCPU, which names "vcpuN" or the cpu's
 * configured name as process, and page tables at sim-pgtbl, or else at 0x41000 + i * 0x1000
 * of the first block.
 * See regs.h for the registers.
 */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "dump/sink.h"
#include "vm/vm.h"

#include <stdint.h>

/* The bytes of the whole file. */
uint64_t image_size(const struct conf *conf);

/* Writes the dump of the VM's present state, with number `number` and the report `text`. */
void image_write(const struct vm *vm, uint64_t number, const struct text *report,
                 struct sink *sink);

#endif
