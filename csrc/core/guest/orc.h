/* ORC, the unwind tables of x86_64 kernels: for each range of code, where the caller's
 * stack pointer, frame pointer and return address are. They are read where they are in the
 * kernel's memory, an entry at a time.
 *
 * Source: arch/x86/include/asm/orc_types.h and arch/x86/kernel/unwind_orc.c of Linux. */
#ifndef QVM_ORC_H
#define QVM_ORC_H

#include "paging/address_space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Entries of a table: real kernels have 400000. Tables: one for each module. */
#define ORC_ENTRIES_MAX (UINT32_C(1) << 23)
#define ORC_TABLES_MAX  (1 << 15)

/* The forms of an entry. All have two offsets of 16 bits, and then 16 bits, from the
 * lowest: the base of sp, 4 bits, the base of bp, 4 bits, and
 *
 *     ORC_END         type:2 end:1            4.14 to 6.2
 *     ORC_SIGNAL      type:2 signal:1 end:1   6.3
 *     ORC_TYPES       type:3 signal:1         6.4 and later
 *     ORC_RENUMBERED  the same, other numbers for the bases; 7.2 has it */
enum orc_form { ORC_UNKNOWN, ORC_END, ORC_SIGNAL, ORC_TYPES, ORC_RENUMBERED };

/* What an address is relative to. */
enum orc_base {
    ORC_NONE, /* unchanged */
    ORC_PREVIOUS_SP,
    ORC_AX,
    ORC_DX,
    ORC_DI,
    ORC_BP,
    ORC_SP,
    ORC_R10,
    ORC_R13,
    ORC_BP_INDIRECT, /* what is stored at bp + offset */
    ORC_SP_INDIRECT, /* what is stored at sp, + offset */
    ORC_INVALID
};

enum orc_type {
    ORC_UNDEFINED,    /* not known */
    ORC_STACK_END,    /* the outermost function */
    ORC_CALL,         /* the return address is below the caller's sp */
    ORC_REGS,         /* struct pt_regs is at sp */
    ORC_REGS_PARTIAL, /* the end of struct pt_regs is at sp: what the processor pushed */
    ORC_BAD_TYPE
};

struct orc_entry {
    int sp_offset, bp_offset; /* bytes */
    enum orc_base sp, bp;
    enum orc_type type;
    bool signal; /* the caller was interrupted: the next lookup is for its very address */
};

/* The table of the kernel or of a module: the addresses, each relative to its own place, 4
 * bytes, ascending; and the entries, 6 bytes each. */
struct orc_table {
    uint64_t first, last;  /* the code that it is for, inclusive */
    uint64_t ips, entries; /* virtual addresses */
    uint32_t count;
};

/* Decodes an entry of 6 bytes. */
struct orc_entry orc_decode(const unsigned char *bytes, enum orc_form form);

/* The state of orc_detect(): how often each value of the last 16 bits occurs. */
struct orc_census {
    uint32_t next;     /* the first entry that is not counted */
    uint32_t odd;      /* entries that use the upper 4 bits */
    uint32_t calls[5]; /* by form: the most common entry, a call that leaves bp alone */
    uint32_t regs[2];  /* ORC_REGS in the first forms: bit 10 clear, set */
};

/* Finds the form of a table by its contents: the release does not tell it, since vendors
 * backport changes. The census begins zeroed. 0, or -1: the table cannot be read;
 * INCOMPLETE: call again. *form is ORC_UNKNOWN if no form fits. */
int orc_detect(struct space *space, const struct orc_table *table,
               struct orc_census *census, enum orc_form *form, struct qvm_error *err);

/* Finds the entry for an address: the last one at or before it, as the kernel does. *found
 * is false if the address is before all of them. 0, or -1: not readable. */
int orc_find(struct space *space, const struct orc_table *table, enum orc_form form,
             uint64_t address, struct orc_entry *entry, bool *found, struct qvm_error *err);

/* Reads entry i, and the address that it begins at. 0, or -1: not readable. */
int orc_read(struct space *space, const struct orc_table *table, enum orc_form form,
             uint32_t i, uint64_t *ip, struct orc_entry *entry, struct qvm_error *err);

#endif
