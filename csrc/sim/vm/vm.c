/*
 * Starts and stops the vCPU threads. A thread publishes its id and then only waits for the
 * end: env must name thread ids that exist.
 */
#define _GNU_SOURCE
#include "vm/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

int vm_start(struct vm *vm, const struct conf *conf)
{
    sigset_t all;
    sigset_t before;
    int error = 0;

    *vm = (struct vm){.conf = conf};
    vm->vcpus = calloc(conf->cpu_count, sizeof *vm->vcpus);
    if (!vm->vcpus)
        return ENOMEM;
    (void)pthread_mutex_init(&vm->mutex, NULL);
    (void)pthread_cond_init(&vm->change, NULL);
    /* Only the main thread receives signals: the vCPU threads inherit a full mask. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!error && vm->started < conf->cpu_count)
        error = start_next(vm);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        vm_stop(vm);
    return error;
}

void vm_stop(struct vm *vm)
{
    (void)pthread_mutex_lock(&vm->mutex);
    vm->stop = true;
    (void)pthread_cond_broadcast(&vm->change);
    (void)pthread_mutex_unlock(&vm->mutex);
    while (vm->started > 0)
        (void)pthread_join(vm->vcpus[--vm->started].thread, NULL);
    (void)pthread_cond_destroy(&vm->change);
    (void)pthread_mutex_destroy(&vm->mutex);
    free(vm->vcpus);
    vm->vcpus = NULL;
}

uint64_t vm_ip(const struct vm *vm, size_t index)
{
    bool arm = vm->conf->machine == MACHINE_AARCH64;
    uint64_t first = arm ? UINT64_C(0xffff800010081234) : UINT64_C(0xffffffff81001234);
    uint64_t ip = first + index * UINT64_C(0x1000);

    if (vm->suspended && index > 0)
        return 0;
    (void)conf_setting(vm->conf, index, SETTING_REG, arm ? "pc" : "rip", &ip);
    return ip;
}

const char *vm_machine_name(const struct vm *vm)
{
    return vm->conf->machine == MACHINE_AARCH64 ? "aarch64" : "x86_64";
}
