/*
 * The registers of a guest's vCPUs, as QEMU's gdb stub shows them.
 */
#ifndef SIM_GUEST_REGISTERS_H
#define SIM_GUEST_REGISTERS_H

#include "conf/conf.h"
#include "guest/rsp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct registers {
    enum machine machine;
    struct rsp_register *items; /* owned: the registers of a vCPU */
    size_t count;
    uint64_t *values; /* owned: those of all vCPUs, one after the other */
    size_t vcpus;
};

/* False: out of memory; registers_free() is due all the same. */
bool registers_init(struct registers *registers, enum machine machine, size_t vcpus);
void registers_free(struct registers *registers);

/* Finds the registers in QEMU's target description: see rsp_find(). */
const char *registers_find(struct registers *registers, int fd);

/* Reads all registers of all vCPUs of the stopped guest. */
bool registers_read(struct registers *registers, int fd);

/* The value of a register by the simulator's name of it, or the address of the page table
   ("pgtbl", x86_64 only: there is one). False: not known; `value` is then unchanged. */
bool registers_value(const struct registers *registers, size_t vcpu, const char *name,
                     uint64_t *value);

#endif
