/*
 * The process of QEMU, and the descriptors that lead to it.
 */
#ifndef SIM_QEMU_PROCESS_H
#define SIM_QEMU_PROCESS_H

#include "conf/conf.h"

#include <stdbool.h>
#include <sys/types.h>

struct qemu_process {
    pid_t pid;    /* 0: does not run */
    int qmp, gdb; /* sockets; -1: none */
    int memory;   /* a file that is the guest's memory; -1: none */
};

void qemu_process_init(struct qemu_process *process);

/* Starts QEMU. False, with a message on stderr: it does not run. */
bool qemu_process_start(struct qemu_process *process, const struct conf *conf);

/* Waits for the end of QEMU, which was told to quit; kills it if it does not. */
void qemu_process_end(struct qemu_process *process);

/* Closes the descriptors. */
void qemu_process_close(struct qemu_process *process);

#endif
