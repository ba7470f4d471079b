#include "regs.h"

#include "put.h"

static const char extra_aarch64[] = "ttbr0_el1\0ttbr1_el1\0tcr_el1\0sctlr_el1\0"
                                    "mair_el1\0vbar_el1\0esr_el1\0far_el1";
static const char extra_x86_64[] =
    "cr0\0cr2\0cr3\0cr4\0efer\0fs_base\0gs_base\0kernel_gs_base";

size_t regs_size(enum machine machine)
{
    return machine == MACHINE_AARCH64 ? 34 * 8 : 20 * 8;
}

const char *regs_extra_names(enum machine machine, size_t *size)
{
    bool arm = machine == MACHINE_AARCH64;

    *size = arm ? sizeof extra_aarch64 : sizeof extra_x86_64;
    return arm ? extra_aarch64 : extra_x86_64;
}

static unsigned char *put_general(uint64_t vcpu, unsigned count, unsigned char *at)
{
    for (unsigned n = 0; n < count; n++)
        at = put_u64(at, UINT64_C(0xffff000000000000) | vcpu << 32 | (0x1000 + n * 0x11));
    return at;
}

static unsigned char *put_aarch64(uint64_t vcpu, uint64_t ip, unsigned char *at)
{
    at = put_general(vcpu, 31, at);
    at = put_u64(at, UINT64_C(0xffff80001100f000) + vcpu * 0x10000);
    at = put_u64(at, ip);
    return put_u64(at, UINT64_C(0x600000c5) + vcpu);
}

static unsigned char *put_x86_64(uint64_t vcpu, uint64_t ip, unsigned char *at)
{
    at = put_general(vcpu, 15, at);
    at = put_u64(at, ip);
    at = put_u64(at, 0x10); /* cs and padding */
    at = put_u64(at, 0x246);
    at = put_u64(at, UINT64_C(0xffffc90000010000) + vcpu * 0x10000);
    return put_u64(at, 0x18); /* ss and padding */
}

unsigned char *regs_put(const struct vm *vm, size_t index, bool extra, unsigned char *at)
{
    uint64_t ip = vm_ip(vm, index);

    if (vm->conf->machine == MACHINE_AARCH64)
        at = put_aarch64(index, ip, at);
    else
        at = put_x86_64(index, ip, at);
    for (unsigned k = 0; extra && k < REGS_EXTRA_COUNT; k++)
        at = put_u64(at, UINT64_C(0xe000000000000000) | (uint64_t)index << 16 | k);
    return at;
}
