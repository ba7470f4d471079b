/* An ELF file as a core: a dump of memory, rather than a program or its symbols. */
#ifndef QVM_ELF_CORE_H
#define QVM_ELF_CORE_H

#include "dump/elf.h"

/* Reads the headers of a core; elf_free is due after 0. Codes as elf_read_header() and
 * elf_read_segments() have them; malformed also for an ELF file that is no core;
 * unsupported also for other formats of dumps: the message says how to get an ELF core. */
int elf_core_read(struct elf *elf, const struct image_file *file, struct qvm_error *err);

#endif
