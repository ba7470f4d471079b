/*
 * The registers of the vCPUs: their names and order on each machine, checks of those that
 * the configuration sets, and values for all others that differ by vCPU and register.
 */
#include "dump/regs.h"

#include "dump/sink.h"
#include "guest/file.h"

#include <string.h>

/* Registers in the order of the layout, 8 bytes each. */
static const char *const aarch64[] = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",    "x10", "x11",
    "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",   "x22", "x23",
    "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",  "pc",  "pstate"};
/* cs and ss have 4 bytes, and 4 of padding. */
static const char *const x86_64[] = {"rdi", "rsi", "rdx", "r10",    "r8",  "r9",  "rax",
                                     "rbx", "rbp", "rcx", "r11",    "r12", "r13", "r14",
                                     "r15", "rip", "cs",  "rflags", "rsp", "ss"};

static const char *const extra_aarch64[] = {"ttbr0_el1", "ttbr1_el1", "tcr_el1",
                                            "sctlr_el1", "mair_el1",  "vbar_el1",
                                            "esr_el1",   "far_el1"};
static const char *const extra_x86_64[] = {"cr0",  "cr2",     "cr3",     "cr4",
                                           "efer", "fs_base", "gs_base", "kernel_gs_base"};

enum { DEFAULT_EXTRA = 8 };

static size_t regs_count(enum machine machine)
{
    return machine == MACHINE_AARCH64 ? sizeof aarch64 / sizeof aarch64[0]
                                      : sizeof x86_64 / sizeof x86_64[0];
}

size_t regs_size(enum machine machine)
{
    return 8 * regs_count(machine);
}

static const char *name_of(enum machine machine, size_t n)
{
    return machine == MACHINE_AARCH64 ? aarch64[n] : x86_64[n];
}

/* Checks the settings of one cpu, or of all: the machine must have these registers. */
static void check(enum machine machine, const struct settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        const char *name = setting->name + strlen(SETTING_REG);
        if (strncmp(setting->name, SETTING_REG, strlen(SETTING_REG)) != 0)
            continue;
        size_t n = 0;
        while (n < regs_count(machine) && strcmp(name_of(machine, n), name) != 0)
            n++;
        if (n == regs_count(machine))
            place_fail(setting->place, "set %s: the machine has no such register",
                       setting->name);
        if (setting->value > UINT32_MAX &&
            (strcmp(name, "cs") == 0 || strcmp(name, "ss") == 0))
            place_fail(setting->place, "set %s: more than 32 bits", setting->name);
    }
}

static void add_extra(struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->extra_count; i++) {
        if (strcmp(conf->extras[i], name) == 0)
            return;
    }
    conf->extras = place_grow(conf->extras, conf->extra_count, sizeof *conf->extras);
    conf->extras[conf->extra_count++] = name;
}

static void add_extras(struct conf *conf, const struct settings *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        const char *name = setting->name + strlen(SETTING_EXTRA);
        if (strncmp(setting->name, SETTING_EXTRA, strlen(SETTING_EXTRA)) != 0)
            continue;
        if (!*name)
            place_fail(setting->place, "set %s: no name", setting->name);
        add_extra(conf, name);
        if (conf->extra_count > REGS_MOST_EXTRA)
            place_fail(setting->place, "set %s: more than %d extra registers",
                       setting->name, REGS_MOST_EXTRA);
    }
}

void regs_complete(struct conf *conf)
{
    bool arm = conf->machine == MACHINE_AARCH64;
    const char *name;

    check(conf->machine, &conf->settings);
    add_extras(conf, &conf->settings);
    for (size_t i = 0; i < conf->cpu_count; i++) {
        check(conf->machine, &conf->cpus[i].settings);
        add_extras(conf, &conf->cpus[i].settings);
    }
    for (unsigned k = 0; conf->guest.file && conf->extra_count < REGS_MOST_EXTRA &&
                         (name = guest_file_extra(conf->guest.file, 0, k));
         k++)
        add_extra(conf, name);
    conf->extras_set = conf->extra_count > 0 || conf->guest.file;
    for (size_t k = 0; !conf->extras_set && k < DEFAULT_EXTRA; k++)
        add_extra(conf, arm ? extra_aarch64[k] : extra_x86_64[k]);
}

static uint64_t default_aarch64(uint64_t vcpu, size_t n)
{
    switch (n) {
    case 31: return UINT64_C(0xffff80001100f000) + vcpu * 0x10000; /* sp */
    case 33: return UINT64_C(0x600000c5) + vcpu;                   /* pstate */
    default: return UINT64_C(0xffff000000000000) | vcpu << 32 | (0x1000 + n * 0x11);
    }
}

static uint64_t default_x86_64(uint64_t vcpu, size_t n)
{
    switch (n) {
    case 16: return 0x10;                                          /* cs */
    case 17: return 0x246;                                         /* rflags */
    case 18: return UINT64_C(0xffffc90000010000) + vcpu * 0x10000; /* rsp */
    case 19: return 0x18;                                          /* ss */
    default: return UINT64_C(0xffff000000000000) | vcpu << 32 | (0x1000 + n * 0x11);
    }
}

/* The value of register n of the layout. */
static uint64_t value_of(const struct vm *vm, size_t index, size_t n)
{
    bool arm = vm->conf->machine == MACHINE_AARCH64;
    uint64_t value = arm ? default_aarch64(index, n) : default_x86_64(index, n);

    if (n == (arm ? 32 : 15)) /* the program counter, set or not */
        return vm_ip(vm, index);
    (void)vm_register(vm, index, SETTING_REG, name_of(vm->conf->machine, n), &value);
    return value;
}

unsigned char *regs_put(const struct vm *vm, size_t index, bool extra, unsigned char *at)
{
    const struct conf *conf = vm->conf;

    for (size_t n = 0; n < regs_count(conf->machine); n++)
        at = put_u64(at, value_of(vm, index, n));
    for (size_t k = 0; extra && k < conf->extra_count; k++) {
        uint64_t value =
            conf->extras_set ? 0 : UINT64_C(0xe000000000000000) | (uint64_t)index << 16 | k;
        (void)vm_register(vm, index, SETTING_EXTRA, conf->extras[k], &value);
        at = put_u64(at, value);
    }
    return at;
}
