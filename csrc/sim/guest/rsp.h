/*
 * A client of QEMU's gdb stub, for registers that QEMU shows nowhere else (GDB manual,
 * "Remote Serial Protocol", "Target Descriptions"). It reads registers of a guest that QMP
 * has stopped.
 */
#ifndef SIM_RSP_H
#define SIM_RSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A register: its name in the simulator and in QEMU's target description, where `number`
   is found. */
struct rsp_register {
    const char *name;
    const char *gdb_name;
    unsigned number;
};

/* Finds the numbers of `count` registers. NULL: all found; else the name of one that QEMU
   does not show, or "answer" if it does not answer. */
const char *rsp_find(int fd, struct rsp_register *registers, size_t count);

/* Selects a vCPU by its index. */
bool rsp_select(int fd, size_t vcpu);

/* Reads a register of it. */
bool rsp_read(int fd, const struct rsp_register *which, uint64_t *value);

#endif
