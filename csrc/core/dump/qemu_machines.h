/* What QEMU writes for each machine: a table, which qemu_notes.c reads notes by. */
#ifndef QVM_QEMU_MACHINES_H
#define QVM_QEMU_MACHINES_H

#include "dump/elf.h"
#include "dump/registers.h"

/* What a note is to us. */
enum qemu_note_kind {
    QEMU_PRSTATUS, /* the registers of a vCPU */
    QEMU_STATE,    /* more of its state */
    QEMU_OTHER     /* something that QEMU writes as well */
};

struct qemu_note_type {
    const char *name;
    uint32_t type, size_min, size_max; /* sizes of the description, in bytes */
    enum qemu_note_kind kind;
};

struct qemu_machine {
    uint16_t machine; /* ELF e_machine */
    uint32_t prstatus_size;
    const struct register_set *set;     /* NULL: that of registers_of() */
    const struct qemu_note_type *notes; /* up to one without a name */
    const struct register_field *extra; /* of the state */
    unsigned extra_count;
    bool by_vcpu; /* a state follows its prstatus; else all states follow all of these */
    /* Physical address of the page table, from the state; NULL: the notes do not have it.
     */
    uint64_t (*pgtbl)(const unsigned char *state);
};

/* The offset of the registers in a prstatus, of every machine (Linux, struct elf_prstatus,
 * 64-bit). */
enum { QEMU_PRSTATUS_REGISTERS = 112 };

/* NULL for a machine that is not known. */
const struct qemu_machine *qemu_machine_of(const struct elf *elf);

#endif
