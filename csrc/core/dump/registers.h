/* The register sets of dumps, a table for each machine; and a vCPU, which has one.
 * Registers are data here: another machine is another table. */
#ifndef QVM_REGISTERS_H
#define QVM_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

struct register_field {
    const char *name;
    uint32_t offset; /* bytes into the set */
    uint32_t size;   /* bytes */
};

struct register_set {
    uint16_t machine; /* ELF e_machine */
    const char *name; /* "aarch64" */
    size_t size;      /* bytes of the fields */
    size_t padded;    /* bytes of the set with padding, as some writers have it */
    size_t count;
    const struct register_field *fields; /* in the architecture's order */
    size_t pc, sp;                       /* indices among the fields */
};

/* The set of QNX's dumps for an e_machine; NULL for a machine that is not known. */
const struct register_set *registers_of(uint16_t machine);

/* A vCPU as a dump holds it, whatever the format of the dump. */
#define VCPU_PROCESS_MAX 100

struct vcpu {
    uint64_t pgtbl; /* physical address of its page table, 0: not known */
    uint32_t cpunum;
    char process[VCPU_PROCESS_MAX + 1]; /* empty: not known */
    const struct register_set *set;
    const unsigned char *registers; /* where the set's fields count from */
    const struct register_field *extra_fields;
    unsigned extra_count;
    const unsigned char *extra; /* where the extra fields count from */
    size_t extra_size;          /* bytes */
    unsigned char *data;        /* owned: what the above point into */
};

/* Frees the data. May be called again, and for a zeroed vCPU. */
void vcpu_free(struct vcpu *vcpu);

#endif
