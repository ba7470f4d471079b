/* Layouts from QEMU's target/i386/arch_dump.c and target/arm/arch_dump.c. Both write a
 * "CORE" note as Linux does for a thread, NT_PRSTATUS with the general registers, and
 * another one with what a kernel debugger needs besides: a "QEMU" note with segments and
 * control registers on x86_64, NT_PRFPREG on AArch64. */
#include "dump/qemu_machines.h"

#include "util/bytes.h"
#include "util/limits.h"

enum { EM_X86_64 = 62, EM_AARCH64 = 183, STATE_MAX = 1024 };

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* The register part of the x86_64 prstatus (Linux user_regs_struct), in the order in which
 * the architecture counts the registers. */
#define X86(name, n)     \
    {                    \
        name, 8 * (n), 8 \
    }

static const struct register_field x86_64_fields[] = {
    X86("rax", 10),     X86("rcx", 11),     X86("rdx", 12),      X86("rbx", 5),
    X86("rsp", 19),     X86("rbp", 4),      X86("rsi", 13),      X86("rdi", 14),
    X86("r8", 9),       X86("r9", 8),       X86("r10", 7),       X86("r11", 6),
    X86("r12", 3),      X86("r13", 2),      X86("r14", 1),       X86("r15", 0),
    X86("rip", 16),     X86("rflags", 18),  X86("cs", 17),       X86("ss", 20),
    X86("ds", 23),      X86("es", 24),      X86("fs", 25),       X86("gs", 26),
    X86("fs_base", 21), X86("gs_base", 22), X86("orig_rax", 15),
};

static const struct register_set x86_64_set = {
    EM_X86_64, "x86_64 of QEMU", 27 * 8, 27 * 8, LENGTH(x86_64_fields), x86_64_fields, 16,
    4};

/* The "QEMU" note (its first version, which later ones have grown from): ten segments of 24
 * bytes, then the control registers.
 *
 *     0        4     8             72      136   144      152                  392
 *     version  size  rax ... rbp   r8 ...  rip   rflags   10 segments          cr0 ... cr4
 *     a segment                    selector(4)  limit(4)  flags(4)  pad(4)  base(8)
 *
 * QEMU writes cr0 to cr4, and newer versions kernel_gs_base at 432. */
#define SEGMENT(name, n)                                                       \
    {name "_selector", 152 + 24 * (n), 4}, {name "_limit", 156 + 24 * (n), 4}, \
        {name "_flags", 160 + 24 * (n), 4},                                    \
    {                                                                          \
        name "_base", 168 + 24 * (n), 8                                        \
    }

enum { STATE_CR3 = 416 };

static const struct register_field x86_64_state[] = {
    {"cr0", 392, 8},   {"cr2", 408, 8},   {"cr3", STATE_CR3, 8},      {"cr4", 424, 8},
    SEGMENT("cs", 0),  SEGMENT("ds", 1),  SEGMENT("es", 2),           SEGMENT("fs", 3),
    SEGMENT("gs", 4),  SEGMENT("ss", 5),  SEGMENT("ldt", 6),          SEGMENT("tr", 7),
    SEGMENT("gdt", 8), SEGMENT("idt", 9), {"kernel_gs_base", 432, 8},
};

/* Bits 12 to 51 of cr3; the others are flags. */
static uint64_t x86_64_pgtbl(const unsigned char *state)
{
    return bytes_u64(state + STATE_CR3, false) & UINT64_C(0x000ffffffffff000);
}

static const struct qemu_note_type x86_64_notes[] = {
    {"CORE", 1, 336, 336, QEMU_PRSTATUS},
    {"QEMU", 0, 432, STATE_MAX, QEMU_STATE},
    {"VMCOREINFO", 0, 0, UINT32_MAX, QEMU_OTHER},
    {NULL, 0, 0, 0, QEMU_OTHER},
};

static const struct register_field aarch64_state[] = {{"fpsr", 512, 4}, {"fpcr", 516, 4}};

static const struct qemu_note_type aarch64_notes[] = {
    {"CORE", 1, 392, 392, QEMU_PRSTATUS},
    {"CORE", 2, 528, 528, QEMU_STATE},
    {"LINUX", 0x405, 0, LIMIT(1 << 20, 1 << 8), QEMU_OTHER}, /* SVE */
    {"VMCOREINFO", 0, 0, UINT32_MAX, QEMU_OTHER},
    {NULL, 0, 0, 0, QEMU_OTHER},
};

static const struct qemu_machine machines[] = {
    {EM_X86_64, 336, &x86_64_set, x86_64_notes, x86_64_state, LENGTH(x86_64_state), false,
     x86_64_pgtbl},
    /* x0 to x30, sp, pc, pstate have the offsets in the prstatus that they have in a QNX
     * dump. */
    {EM_AARCH64, 392, NULL, aarch64_notes, aarch64_state, LENGTH(aarch64_state), true,
     NULL},
};

const struct qemu_machine *qemu_machine_of(const struct elf *elf)
{
    for (size_t i = 0; i < LENGTH(machines); i++)
        if (elf->bits == 64 && machines[i].machine == elf->machine)
            return &machines[i];
    return NULL;
}
