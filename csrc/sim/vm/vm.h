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

/* A vCPU: a thread of QEMU, or one that only waits, so that its id is real. */
struct vcpu {
    struct vm *vm;
    pthread_t thread; /* without QEMU */
    pid_t tid;        /* of the Linux thread */
};

struct vm {
    const struct conf *conf; /* borrowed */
    struct qemu *qemu;       /* runs the guest; NULL: none runs */
    struct vcpu *vcpus;      /* conf->cpu_count of them */
    size_t started;          /* number of threads that run here */
    pthread_mutex_t mutex;   /* protects stop, and tid during the start */
    pthread_cond_t change;
    bool stop;
    atomic_bool suspended; /* vCPUs from 1 on are off; read by the thread of node_fuse.c */
    uint64_t statuses;     /* status texts logged and dumps begun so far */
    uint64_t dumps;
};

/* Starts the threads or QEMU. False, with a message on stderr: nothing runs then. */
bool vm_start(struct vm *vm, const struct conf *conf);

/* Ends them and frees everything. */
void vm_stop(struct vm *vm);

/* Whether the memory and registers are those of a guest, or of a dump of one. */
bool vm_has_guest(const struct vm *vm);

/* Updates what the guest that QEMU runs shows: its program counters, and whether it sleeps.
 */
void vm_sample(struct vm *vm);

/* Reads guest memory, if there is a guest. Returns 0, or an errno value. */
int vm_read(const struct vm *vm, uint64_t address, void *bytes, size_t size);

/* The value of a register of vCPU `index`: that of the configuration (see conf_setting()),
   or else of the guest. False: neither has it; `value` is then unchanged. */
bool vm_register(const struct vm *vm, size_t index, const char *prefix, const char *name,
                 uint64_t *value);

/* The guest-virtual address of the instruction that vCPU `index` executes; 0 if it is off.
   Without a guest, and unless it is set, that of vCPU i is 0xffff800010081234 + i * 0x1000
   (aarch64) or 0xffffffff81001234 + i * 0x1000 (x86_64). */
uint64_t vm_ip(const struct vm *vm, size_t index);

#endif
