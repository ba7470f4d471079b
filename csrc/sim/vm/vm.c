/*
 * Starts and stops what stands for the vCPUs: QEMU, or a thread for each. Such a thread
 * publishes its id and then only waits for the end: env must name thread ids that exist.
 * Also looks up registers and memory, which the configuration, QEMU or a dump has.
 */
#define _GNU_SOURCE
#include "vm/vm.h"

#include "guest/file.h"
#include "guest/qemu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *run(void *argument)
{
    struct vcpu *vcpu = argument;
    struct vm *vm = vcpu->vm;
    char name[16];

    (void)snprintf(name, sizeof name, "vcpu%u", (unsigned)(vcpu - vm->vcpus) & 0xffffU);
    (void)pthread_setname_np(pthread_self(), name);
    (void)pthread_mutex_lock(&vm->mutex);
    vcpu->tid = gettid();
    (void)pthread_cond_broadcast(&vm->change);
    while (!vm->stop)
        (void)pthread_cond_wait(&vm->change, &vm->mutex);
    (void)pthread_mutex_unlock(&vm->mutex);
    return NULL;
}

/* Starts the next thread, and waits until it has published its id and set its name. */
static int start_next(struct vm *vm)
{
    struct vcpu *vcpu = &vm->vcpus[vm->started];

    vcpu->vm = vm;
    int error = pthread_create(&vcpu->thread, NULL, run, vcpu);
    if (error)
        return error;
    vm->started++;
    (void)pthread_mutex_lock(&vm->mutex);
    while (!vcpu->tid)
        (void)pthread_cond_wait(&vm->change, &vm->mutex);
    (void)pthread_mutex_unlock(&vm->mutex);
    return 0;
}

/* Starts QEMU, whose threads are the vCPUs. */
static bool start_qemu(struct vm *vm)
{
    vm->qemu = qemu_start(vm->conf);
    for (size_t i = 0; vm->qemu && i < vm->conf->cpu_count; i++)
        vm->vcpus[i].tid = qemu_tid(vm->qemu, i);
    return vm->qemu != NULL;
}

/* Starts a thread for each vCPU. Returns 0, or an errno value. */
static int start_threads(struct vm *vm)
{
    sigset_t all;
    sigset_t before;
    int error = 0;

    (void)pthread_mutex_init(&vm->mutex, NULL);
    (void)pthread_cond_init(&vm->change, NULL);
    /* Only the main thread receives signals: the vCPU threads inherit a full mask. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!error && vm->started < vm->conf->cpu_count)
        error = start_next(vm);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bool vm_start(struct vm *vm, const struct conf *conf)
{
    int error = 0;
    bool good;

    *vm = (struct vm){.conf = conf};
    vm->vcpus = calloc(conf->cpu_count, sizeof *vm->vcpus);
    if (!vm->vcpus) {
        (void)fprintf(stderr, "qvm: out of memory\n");
        return false;
    }
    if (conf->guest.kind == GUEST_QEMU) {
        good = start_qemu(vm);
    } else {
        error = start_threads(vm);
        good = error == 0;
    }
    if (error)
        (void)fprintf(stderr, "qvm: cannot start the vCPU threads: %s\n", strerror(error));
    if (!good)
        vm_stop(vm);
    return good;
}

static void stop_threads(struct vm *vm)
{
    (void)pthread_mutex_lock(&vm->mutex);
    vm->stop = true;
    (void)pthread_cond_broadcast(&vm->change);
    (void)pthread_mutex_unlock(&vm->mutex);
    while (vm->started > 0)
        (void)pthread_join(vm->vcpus[--vm->started].thread, NULL);
    (void)pthread_cond_destroy(&vm->change);
    (void)pthread_mutex_destroy(&vm->mutex);
}

void vm_stop(struct vm *vm)
{
    if (vm->qemu)
        qemu_end(vm->qemu);
    else if (vm->conf->guest.kind != GUEST_QEMU)
        stop_threads(vm);
    vm->qemu = NULL;
    free(vm->vcpus);
    vm->vcpus = NULL;
}

bool vm_has_guest(const struct vm *vm)
{
    return vm->conf->guest.kind != GUEST_NONE;
}

void vm_sample(struct vm *vm)
{
    if (!vm->qemu)
        return;
    qemu_sample(vm->qemu);
    vm->suspended = qemu_is_suspended(vm->qemu);
}

int vm_read(const struct vm *vm, uint64_t address, void *bytes, size_t size)
{
    if (vm->qemu)
        return qemu_read(vm->qemu, address, bytes, size);
    return guest_file_read(vm->conf->guest.file, address, bytes, size);
}

bool vm_register(const struct vm *vm, size_t index, const char *prefix, const char *name,
                 uint64_t *value)
{
    if (conf_setting(vm->conf, index, prefix, name, value))
        return true;
    if (strcmp(prefix, SETTING_PGTBL) == 0)
        name = "pgtbl";
    if (vm->qemu)
        return qemu_register(vm->qemu, index, name, value);
    return vm->conf->guest.file &&
           guest_file_register(vm->conf->guest.file, index, name, value);
}

uint64_t vm_ip(const struct vm *vm, size_t index)
{
    bool arm = vm->conf->machine == MACHINE_AARCH64;
    uint64_t first = arm ? UINT64_C(0xffff800010081234) : UINT64_C(0xffffffff81001234);
    uint64_t ip = first + index * UINT64_C(0x1000);

    if (vm->suspended && index > 0)
        return 0;
    if (vm->qemu)
        return qemu_ip(vm->qemu, index);
    (void)vm_register(vm, index, SETTING_REG, arm ? "pc" : "rip", &ip);
    return ip;
}
