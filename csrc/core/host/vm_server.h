/* The process that serves a VM: reading its env, finding it, signalling it. One file for
 * each system implements this: vm_server_linux.c, vm_server_qnx.c.
 *
 * `path` is always that of an env. All functions that can fail return -1 and fill err.
 * Deadlines are times of os_clock_ms(). */
#ifndef QVM_VM_SERVER_H
#define QVM_VM_SERVER_H

#include "util/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The two requests that a VM's process can receive. There is no way to pass a signal's
 * number: every other documented signal ends the guest (QNX Hypervisor User's Guide).
 */
enum vm_request {
    VM_REQUEST_STATUS, /* SIGUSR1: status text to the log */
    VM_REQUEST_DUMP    /* SIGUSR2: a guest dump */
};

/* Opens an env for reading; returns a descriptor, closed on exec. */
int vm_server_open(const char *path, int64_t deadline, struct qvm_error *err);

/* Reads at most `size` bytes; returns how many, 0 at the end of the file. QVM_TIMEOUT if
 * the server does not answer before the deadline. */
ssize_t vm_server_read(int fd, const char *path, void *buffer, size_t size,
                       int64_t deadline, struct qvm_error *err);

/* Finds the process that serves the env now and verifies that it is a qvm. Codes: QVM_GONE
 * (no process serves it), QVM_NOT_QVM, QVM_PERMISSION (this process may not inspect that
 * one), and those of vm_server_open(). */
int vm_server_find(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err);

/* What a request passes right before its signal is sent. Who waits for the request can
 * close it: then the signal is not sent, however late the server answers. */
struct vm_gate {
    pthread_mutex_t lock; /* held while the signal is sent */
    bool closed;          /* protected by the lock, as is the next */
    pid_t sent_to;        /* the process that got the signal; 0: none yet */
};

/* Sends the request's signal to the process that serves the env, after verifying that it
 * serves the env, is a qvm and, where the system can tell, catches the signal: the default
 * action of both signals is to end the process. Codes as for vm_server_find(); QVM_TIMEOUT
 * if the gate was closed. */
int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct vm_gate *gate, struct qvm_error *err);

/* Shared by the systems' files -------------------------------------------------------- */

int vm_server_signal_number(enum vm_request what);

/* False, with err filled: the gate is closed. Otherwise it stays locked until
 * vm_gate_leave(), to be called with the process that got the signal, or 0. */
bool vm_gate_enter(struct vm_gate *gate, const char *path, struct qvm_error *err);
void vm_gate_leave(struct vm_gate *gate, pid_t sent_to);

/* Is `executable`, that of process `pid`, a qvm? 0, or -1 with QVM_NOT_QVM. */
int vm_server_check_name(const char *executable, pid_t pid, const char *path,
                         struct qvm_error *err);

/* Each fills err and returns -1. */
int vm_server_fail_timeout(const char *path, struct qvm_error *err);
int vm_server_fail_unserved(const char *path, struct qvm_error *err);
int vm_server_fail_ended(const char *path, pid_t pid, struct qvm_error *err);

#endif
