/*
 * The registers that a dump has, by the names that QEMU's gdb stub gives them, and their
 * values. All are read at once, from a stopped guest.
 */
#include "guest/registers.h"

#include <stdlib.h>
#include <string.h>

/* The simulator's names, and QEMU's (gdb-xml/, target/arm/helper.c). */
static const struct rsp_register aarch64[] = {
    {"x0", "x0", 0},
    {"x1", "x1", 0},
    {"x2", "x2", 0},
    {"x3", "x3", 0},
    {"x4", "x4", 0},
    {"x5", "x5", 0},
    {"x6", "x6", 0},
    {"x7", "x7", 0},
    {"x8", "x8", 0},
    {"x9", "x9", 0},
    {"x10", "x10", 0},
    {"x11", "x11", 0},
    {"x12", "x12", 0},
    {"x13", "x13", 0},
    {"x14", "x14", 0},
    {"x15", "x15", 0},
    {"x16", "x16", 0},
    {"x17", "x17", 0},
    {"x18", "x18", 0},
    {"x19", "x19", 0},
    {"x20", "x20", 0},
    {"x21", "x21", 0},
    {"x22", "x22", 0},
    {"x23", "x23", 0},
    {"x24", "x24", 0},
    {"x25", "x25", 0},
    {"x26", "x26", 0},
    {"x27", "x27", 0},
    {"x28", "x28", 0},
    {"x29", "x29", 0},
    {"x30", "x30", 0},
    {"sp", "sp", 0},
    {"pc", "pc", 0},
    {"pstate", "cpsr", 0},
    {"ttbr0_el1", "TTBR0_EL1", 0},
    {"ttbr1_el1", "TTBR1_EL1", 0},
    {"tcr_el1", "TCR_EL1", 0},
    {"sctlr_el1", "SCTLR", 0},
    {"mair_el1", "MAIR_EL1", 0},
    {"vbar_el1", "VBAR", 0},
    {"esr_el1", "ESR_EL1", 0},
    {"far_el1", "FAR_EL1", 0},
};
static const struct rsp_register x86_64[] = {
    {"rax", "rax", 0},         {"rbx", "rbx", 0},
    {"rcx", "rcx", 0},         {"rdx", "rdx", 0},
    {"rsi", "rsi", 0},         {"rdi", "rdi", 0},
    {"rbp", "rbp", 0},         {"rsp", "rsp", 0},
    {"r8", "r8", 0},           {"r9", "r9", 0},
    {"r10", "r10", 0},         {"r11", "r11", 0},
    {"r12", "r12", 0},         {"r13", "r13", 0},
    {"r14", "r14", 0},         {"r15", "r15", 0},
    {"rip", "rip", 0},         {"rflags", "eflags", 0},
    {"cs", "cs", 0},           {"ss", "ss", 0},
    {"cr0", "cr0", 0},         {"cr2", "cr2", 0},
    {"cr3", "cr3", 0},         {"cr4", "cr4", 0},
    {"efer", "efer", 0},       {"fs_base", "fs_base", 0},
    {"gs_base", "gs_base", 0}, {"kernel_gs_base", "k_gs_base", 0},
};

bool registers_init(struct registers *registers, enum machine machine, size_t vcpus)
{
    bool arm = machine == MACHINE_AARCH64;
    const struct rsp_register *table = arm ? aarch64 : x86_64;

    *registers = (struct registers){.machine = machine, .vcpus = vcpus};
    registers->count =
        arm ? sizeof aarch64 / sizeof aarch64[0] : sizeof x86_64 / sizeof x86_64[0];
    registers->items = malloc(registers->count * sizeof *registers->items);
    registers->values = calloc(vcpus * registers->count, sizeof *registers->values);
    if (!registers->items || !registers->values)
        return false;
    memcpy(registers->items, table, registers->count * sizeof *registers->items);
    return true;
}

void registers_free(struct registers *registers)
{
    free(registers->items);
    free(registers->values);
}

const char *registers_find(struct registers *registers, int fd)
{
    return rsp_find(fd, registers->items, registers->count);
}

bool registers_read(struct registers *registers, int fd)
{
    uint64_t *value = registers->values;

    for (size_t i = 0; i < registers->vcpus; i++) {
        if (!rsp_select(fd, i))
            return false;
        for (size_t n = 0; n < registers->count; n++) {
            if (!rsp_read(fd, &registers->items[n], value++))
                return false;
        }
    }
    return true;
}

static uint64_t *find(const struct registers *registers, size_t vcpu, const char *name)
{
    for (size_t n = 0; n < registers->count; n++) {
        if (strcmp(registers->items[n].name, name) == 0)
            return &registers->values[vcpu * registers->count + n];
    }
    return NULL;
}

bool registers_value(const struct registers *registers, size_t vcpu, const char *name,
                     uint64_t *value)
{
    /* CR3 has other bits than those of the address. */
    bool is_table = registers->machine == MACHINE_X86_64 && strcmp(name, "pgtbl") == 0;
    const uint64_t *found = find(registers, vcpu, is_table ? "cr3" : name);

    if (found)
        *value = is_table ? *found & UINT64_C(0x000ffffffffff000) : *found;
    return found != NULL;
}
