/*
 * The simulated VM: its vCPU threads and its state.
 */
#ifndef SIM_VM_H
#define SIM_VM_H

#include "conf/conf.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vm;

/* One vCPU: a real thread, which does nothing but wait, so that its id is a real one. */
struct vcpu {
    struct vm *vm;
    pthread_t thread;
    pid_t tid; /* of the Linux thread */
};

struct vm {
    const struct conf *conf; /* borrowed */
    struct vcpu *vcpus;      /* conf->cpu_count of them */
    size_t started;          /* how many threads run */
    pthread_mutex_t mutex;   /* protects tid, until the start is over, and stop */
    pthread_cond_t change;
    bool stop;
    bool suspended;    /* vCPUs from 1 on are off */
    uint64_t statuses; /* status texts logged, dumps begun, each so far */
    uint64_t dumps;
};

/* Starts the threads. Returns 0, or an errno value: nothing runs then. */
int vm_start(struct vm *vm, const struct conf *conf);

/* Ends the threads and releases everything. */
void vm_stop(struct vm *vm);

/* The guest-virtual address where vCPU `index` stands; 0 if the vCPU is off.
   Unless it is set, of vCPU i: 0xffff800010081234 + i * 0x1000 (aarch64),
   0xffffffff81001234 + i * 0x1000 (x86_64). */
uint64_t vm_ip(const struct vm *vm, size_t index);

const char *vm_machine_name(const struct vm *vm);

#endif
