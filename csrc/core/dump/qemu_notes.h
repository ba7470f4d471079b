/* What QEMU's dump-guest-memory writes beside memory: ELF notes with each vCPU's
 * registers. */
#ifndef QVM_QEMU_NOTES_H
#define QVM_QEMU_NOTES_H

#include "dump/elf.h"
#include "dump/registers.h"

struct dump_format;

/* Format "qemu": see format.h. */
extern const struct dump_format qemu_format;

/* The rest is for tests of the notes alone. */

struct qemu_machine;

/* Where the notes of one dump are. */
struct qemu_notes {
    const struct qemu_machine *machine;
    unsigned vcpu_count, capacity;
    unsigned state_count;    /* vCPUs that have more than their prstatus */
    unsigned missing;        /* vCPUs without a prstatus, though a later one has one */
    bool cut;                /* the notes end within one */
    struct qemu_vcpu *vcpus; /* owned, vcpu_count of them */
};

/* Reads all notes of the file: FORMAT_FOUND where they are those that QEMU writes, and no
 * other, and qemu_notes_free is due. Some may be missing, at the end above all: see the
 * members. FORMAT_DOUBTFUL where vCPUs were found, and something that QEMU does not write;
 * FORMAT_OTHER; -1. */
int qemu_notes_read(struct qemu_notes *qemu, const struct elf *elf,
                    const struct image_file *file, struct qvm_error *err);
void qemu_notes_free(struct qemu_notes *qemu);

/* Reads one vCPU, index below vcpu_count. vcpu_free is due after 0. */
int qemu_notes_read_vcpu(const struct qemu_notes *qemu, unsigned index,
                         const struct image_file *file, struct vcpu *vcpu,
                         struct qvm_error *err);

#endif
