/* A thread of the process that serves a VM: on the host, each vCPU is one. One file for
 * each system implements this: vm_thread_linux.c, vm_thread_qnx.c. */
#ifndef QVM_VM_THREAD_H
#define QVM_VM_THREAD_H

#include "util/error.h"

#include <stdint.h>

struct vm_thread {
    uint64_t cpu_time; /* nanoseconds that it ran on a processor */
    int64_t priority;  /* as the system counts: see the implementations */
    char name[128];    /* empty if it has none */
    char state[24];    /* "running", "ready", or what it waits for */
};

/* Describes thread `tid` of the process that serves the env at `path` now. The process is
 * verified as for a request: see vm_server.h. Returns 0, or -1 and a filled err:
 * QVM_NOT_FOUND (there is no such thread), or as vm_server_find(). */
int vm_thread_read(const char *path, int64_t tid, int64_t deadline,
                   struct vm_thread *thread, struct qvm_error *err);

#endif
