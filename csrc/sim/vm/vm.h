/*
 * The simulated VM: its vCPU threads and its state.
 */
#ifndef SIM_VM_H
#define SIM_VM_H

#include "conf/conf.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vm;

/* A vCPU: a thread that only waits, so that its id is real. */
struct vcpu {
    struct vm *vm;
    pthread_t thread;
    pid_t tid; /* of the Linux thread */
};

struct vm {
    const struct conf *conf; /* borrowed */
    struct vcpu *vcpus;      /* conf->cpu_count of them */
    size_t started;          /* number of threads that run */
    pthread_mutex_t mutex;   /* protects stop, and tid during the start */
    pthread_cond_t change;
    bool stop;
    atomic_bool suspended; /* vCPUs from 1 on are off; read by the thread of node_fuse.c */
    uint64_t statuses;     /* status texts logged and dumps begun so far */
    uint64_t dumps;
};

/* Starts the threads. Returns 0, or an errno value: nothing runs then. */
int vm_start(struct vm *vm, const struct conf *conf);

/* Ends the threads and frees everything. */
void vm_stop(struct vm *vm);

/* The guest-virtual address of the instruction that vCPU `index` executes; 0 if it is off.
   Unless it is set, that of vCPU i is 0xffff800010081234 + i * 0x1000 (aarch64) or
   0xffffffff81001234 + i * 0x1000 (x86_64). */
uint64_t vm_ip(const struct vm *vm, size_t index);

const char *vm_machine_name(const struct vm *vm);

#endif
