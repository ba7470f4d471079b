/*
 * The content of a guest dump.
 *
 * A little-endian ELF64 core file: header, program headers, one PT_LOAD per RAM block in
 * configuration order, one for the last 64 KiB of the last block (the "dumpinfo" segment),
 * and the note last. p_vaddr is 0, p_paddr the address; segments begin at pages of the
 * file.
 *
 * See memory.h for the memory. The dumpinfo segment has `struct kdump` and the report.
 *
 * The note is `struct kdump_note` and one record per vCPU: the name of a process, which is
 * the configured name of the cpu or "vcpuN", and the address of page tables, which is
 * sim-pgtbl or 0x41000 + i * 0x1000 from the base of the first block.
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
