/* The register sets of QNX's dumps (<sys/kdump.h>): the CPU_REGISTERS of
 * <aarch64/context.h>, <x86_64/context.h>, <x86/context.h> and <arm/context.h>. A field is
 * a name and where its value is in the bytes of the set; the order of the fields is that of
 * the structure, and of what scripts see. A set also says which fields are the program
 * counter and the stack pointer. */
#include "dump/registers.h"

#include <stdlib.h>

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define X(n)               \
    {                      \
        "x" #n, 8 * (n), 8 \
    }

/* gpr[32], of which the last is sp; elr, the program counter; pstate. */
static const struct register_field aarch64[] = {
    X(0),           X(1),
    X(2),           X(3),
    X(4),           X(5),
    X(6),           X(7),
    X(8),           X(9),
    X(10),          X(11),
    X(12),          X(13),
    X(14),          X(15),
    X(16),          X(17),
    X(18),          X(19),
    X(20),          X(21),
    X(22),          X(23),
    X(24),          X(25),
    X(26),          X(27),
    X(28),          X(29),
    X(30),          {"sp", 248, 8},
    {"pc", 256, 8}, {"pstate", 264, 8},
};

/* cs and ss have 4 bytes, and padding after them. The members take 160 bytes; 168 is on
 * record as the size of the set as well, so both are accepted: the offsets are the same. */
static const struct register_field x86_64[] = {
    {"rdi", 0, 8},   {"rsi", 8, 8},  {"rdx", 16, 8},     {"r10", 24, 8},  {"r8", 32, 8},
    {"r9", 40, 8},   {"rax", 48, 8}, {"rbx", 56, 8},     {"rbp", 64, 8},  {"rcx", 72, 8},
    {"r11", 80, 8},  {"r12", 88, 8}, {"r13", 96, 8},     {"r14", 104, 8}, {"r15", 112, 8},
    {"rip", 120, 8}, {"cs", 128, 4}, {"rflags", 136, 8}, {"rsp", 144, 8}, {"ss", 152, 4},
};

/* The n-th of a sequence of 32-bit words. */
#define WORD(name, n)    \
    {                    \
        name, 4 * (n), 4 \
    }

/* In the order of the pusha instruction, where exx has the place of esp. */
static const struct register_field x86[] = {
    WORD("edi", 0),  WORD("esi", 1),  WORD("ebp", 2), WORD("exx", 3), WORD("ebx", 4),
    WORD("edx", 5),  WORD("ecx", 6),  WORD("eax", 7), WORD("eip", 8), WORD("cs", 9),
    WORD("efl", 10), WORD("esp", 11), WORD("ss", 12),
};

static const struct register_field arm[] = {
    WORD("r0", 0),   WORD("r1", 1),    WORD("r2", 2),   WORD("r3", 3),  WORD("r4", 4),
    WORD("r5", 5),   WORD("r6", 6),    WORD("r7", 7),   WORD("r8", 8),  WORD("r9", 9),
    WORD("r10", 10), WORD("r11", 11),  WORD("r12", 12), WORD("sp", 13), WORD("lr", 14),
    WORD("pc", 15),  WORD("spsr", 16),
};

/* e_machine, name, size, padded size, fields, and the indices of pc and sp. */
static const struct register_set sets[] = {
    {183, "aarch64", 272, 272, LENGTH(aarch64), aarch64, 32, 31},
    {62, "x86_64", 160, 168, LENGTH(x86_64), x86_64, 15, 18},
    {3, "x86", 52, 52, LENGTH(x86), x86, 8, 11},
    {40, "arm", 68, 68, LENGTH(arm), arm, 15, 13},
};

const struct register_set *registers_of(uint16_t machine)
{
    for (size_t i = 0; i < LENGTH(sets); i++)
        if (sets[i].machine == machine)
            return &sets[i];
    return NULL;
}

void vcpu_free(struct vcpu *vcpu)
{
    free(vcpu->data);
    vcpu->data = NULL;
}
