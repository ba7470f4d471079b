/* What QEMU's dump-guest-memory writes beside memory: ELF notes with each vCPU's registers
 * (QEMU's target/i386/arch_dump.c and target/arm/arch_dump.c tell their layouts). */
#ifndef QVM_QEMU_NOTES_H
#define QVM_QEMU_NOTES_H

#include "dump/elf.h"
#include "dump/registers.h"

struct qemu_machine;

/* Where the notes of one dump are. */
struct qemu_notes {
    const struct qemu_machine *machine;
    unsigned cpus, room;
    unsigned states;  /* vCPUs that have more than their prstatus */
    unsigned missing; /* vCPUs whose prstatus is not there, though a later one's is */
    bool cut;         /* the notes end within one */
    bool rejected;    /* some notes were QEMU's, and one was not */
    struct qemu_cpu *places; /* owned, one for each vCPU */
};

/* Does the file hold the notes that QEMU writes, and no other? Some may be missing, at the
 * end above all: see the members. 1 it does, and
 * qemu is filled and due to be freed; 0 it is something else; -1 error. */
int qemu_notes_probe(struct qemu_notes *qemu, const struct elf *elf,
                     const struct image_file *file, struct qvm_error *err);
void qemu_notes_free(struct qemu_notes *qemu);

/* One vCPU, index below qemu->cpus. After 0, vcpu_free is due. */
int qemu_notes_read_vcpu(const struct qemu_notes *qemu, unsigned index,
                         const struct image_file *file, struct vcpu *vcpu,
                         struct qvm_error *err);

#endif
