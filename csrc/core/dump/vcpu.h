/* A vCPU as a dump holds it, whatever the dump's format. */
#ifndef QVM_VCPU_H
#define QVM_VCPU_H

#include "dump/registers.h"

#include <stddef.h>
#include <stdint.h>

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

void vcpu_free(struct vcpu *vcpu);

#endif
