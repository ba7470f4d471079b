/* The CPU register sets of guest dumps, a table for each machine. */
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
    size_t padded;    /* bytes of the whole set where it is longer than its fields */
    size_t count;
    const struct register_field *fields; /* in the architecture's order */
    size_t pc, sp;                       /* indices among the fields */
};

/* NULL for a machine that is not known. */
const struct register_set *registers_of(uint16_t machine);

#endif
