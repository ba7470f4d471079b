/*
 * Register contents of the simulated vCPUs, in the layout of the dump's register sets.
 *
 * A value that is set (sim-reg-NAME, sim-extra-NAME) is used. Otherwise, general register n
 * of vCPU i, in the layout's order without stack pointer and program counter (aarch64:
 * x0..x30; x86_64: rdi rsi rdx r10 r8 r9 rax rbx rbp rcx r11..r15): 0xffff000000000000 | i
 * << 32 | (0x1000 + n * 0x11) Stack pointer: aarch64 0xffff80001100f000 + i * 0x10000,
 * x86_64 0xffffc90000010000 + i * 0x10000. Program counter: vm_ip(). aarch64 pstate
 * 0x600000c5 + i; x86_64 rflags 0x246, cs 0x10, ss 0x18. Extra registers: those that are
 * set for any vCPU; they are 0 for the others. If none is set, there are eight; register k
 * of them is: 0xe000000000000000 | i << 16 | k
 */
#ifndef SIM_REGS_H
#define SIM_REGS_H

#include "vm/vm.h"

#include <stddef.h>

enum { REGS_MOST_EXTRA = 64, REGS_LARGEST = 272 + 8 * REGS_MOST_EXTRA };

/* The bytes of one CPU's register set without extra registers. */
size_t regs_size(enum machine machine);

/* After all options: names the extra registers of the configuration. Exits if a register is
   set that the machine does not have (see place_fail). */
void regs_complete(struct conf *conf);

/* Stores the register set of vCPU `index` and, with `extra`, its extra registers: at most
   REGS_LARGEST bytes. Returns the address after them. */
unsigned char *regs_put(const struct vm *vm, size_t index, bool extra, unsigned char *at);

#endif
