/*
 * The data of a dump's PT_NOTE segment: structures of QNX's public header sys/kdump.h, not
 * ELF notes.
 */
#ifndef SIM_NOTE_H
#define SIM_NOTE_H

#include "dump/sink.h"
#include "vm/vm.h"

#include <stddef.h>
#include <stdint.h>

/* The bytes of the whole segment. */
size_t note_size(const struct conf *conf);

/* Writes the segment. `dumpinfo` is the index of the report's segment. */
void note_write(const struct vm *vm, uint32_t dumpinfo, struct sink *sink);

#endif
