/* Turns the numbers in a kernel's table of symbols (kallsyms) into addresses. */
#ifndef QVM_KALLSYMS_ADDRESSES_H
#define QVM_KALLSYMS_ADDRESSES_H

#include "guest/kallsyms_reader.h"

/* Each symbol's `address` is the number in the table, and becomes its address. base: the
 * kernel's `relative_base`, or else the address of the offsets; stext: the index of the
 * symbol `_stext`. False: the numbers have an unknown form, and are as they were. */
bool kallsyms_make_addresses(struct kallsyms *table,
                             const struct kallsyms_location *location, uint64_t base,
                             size_t stext);

#endif
