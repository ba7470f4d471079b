/*
 * Composes the status text: the VM, its RAM, its vCPUs, its vdevs, a line each.
 */
#include "vm/report.h"

#include "guest/qemu.h"

#include <inttypes.h>
#include <stdio.h>

static void begin(const struct vm *vm, struct text *out)
{
    logger_prefix(&vm->conf->logger, LEVEL_INFO, out);
}

static void put_head(const struct vm *vm, const char *kind, uint64_t number,
                     struct text *out)
{
    begin(vm, out);
    text_printf(out, "%s %" PRIu64 " (simulated VM, not QNX)\n", kind, number);
    begin(vm, out);
    text_string(out, "system ");
    text_clean(out, vm->conf->system);
    text_printf(out, ", machine %s\n", conf_machine_name(vm->conf));
    begin(vm, out);
    text_printf(out, "state %s, requests served %" PRIu64 "\n",
                vm->suspended ? "suspended" : "running", vm->statuses + vm->dumps);
}

/* The guest that QEMU runs, as QEMU sees it. */
static void put_guest(const struct vm *vm, struct text *out)
{
    char status[32];

    if (!vm->qemu)
        return;
    if (!qemu_status(vm->qemu, status, sizeof status))
        (void)snprintf(status, sizeof status, "no answer");
    begin(vm, out);
    text_printf(out, "guest in QEMU, process %ld, %s: ", (long)qemu_pid(vm->qemu),
                vm->conf->guest.kvm ? "KVM" : "TCG");
    text_clean(out, status);
    text_string(out, "\n");
}

static void put_hardware(const struct vm *vm, struct text *out)
{
    const struct conf *conf = vm->conf;

    for (size_t i = 0; i < conf->ram_count; i++) {
        begin(vm, out);
        text_printf(out, "ram 0x%016" PRIx64 " size 0x%" PRIx64 "\n", conf->ram[i].base,
                    conf->ram[i].size);
    }
    for (size_t i = 0; i < conf->cpu_count; i++) {
        begin(vm, out);
        text_printf(out, "vcpu%zu tid %ld ip 0x%016" PRIx64, i, (long)vm->vcpus[i].tid,
                    vm_ip(vm, i));
        if (conf->cpus[i].name) {
            text_string(out, " name ");
            text_clean(out, conf->cpus[i].name);
        }
        text_string(out, "\n");
    }
}

static void put_vdev(const struct vm *vm, const struct vdev *vdev, struct text *out)
{
    begin(vm, out);
    text_string(out, "vdev ");
    text_clean(out, vdev->type);
    if (vdev->name) {
        text_string(out, " ");
        text_clean(out, vdev->name);
    }
    for (size_t i = 0; i < vdev->detail_count; i++) {
        text_printf(out, " %s ", vdev->details[i].word);
        text_clean(out, vdev->details[i].value);
    }
    text_string(out, "\n");
}

void report_compose(const struct vm *vm, const char *kind, uint64_t number, bool all_vdevs,
                    struct text *out)
{
    const struct conf *conf = vm->conf;

    put_head(vm, kind, number, out);
    put_guest(vm, out);
    put_hardware(vm, out);
    for (size_t i = 0; i < conf->vdev_count; i++) {
        if (conf->vdevs[i].debug || all_vdevs)
            put_vdev(vm, &conf->vdevs[i], out);
    }
}
