/* The process that serves a VM: reading what it serves, finding it, signalling it. One file
 * for each system: vm_server_linux.c, vm_server_qnx.c.
 *
 * All functions fail with -1 and a filled err. Deadlines are times of os_clock_ms(). */
#ifndef QVM_VM_SERVER_H
#define QVM_VM_SERVER_H

#include "util/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The only two things that a VM's process can be asked for. There is no way to name a
 * signal by its number: whatever else could be sent ends the guest (QNX Hypervisor User's
 * Guide). */
enum vm_request {
    VM_REQUEST_STATUS, /* SIGUSR1: status text to the log */
    VM_REQUEST_DUMP    /* SIGUSR2: a guest dump */
};

/* Opens a VM's env for reading; returns a descriptor, close-on-exec. */
int vm_server_open(const char *path, int64_t deadline, struct qvm_error *err);

/* Reads at most size bytes; 0 is the end of the file. */
ssize_t vm_server_read(int fd, const char *path, void *buffer, size_t size,
                       int64_t deadline, struct qvm_error *err);

/* The process that serves this env now and is a qvm. Codes: gone (nobody serves it),
 * not_qvm, permission (this process may not look at that one), and those of vm_server_open.
 */
int vm_server_find(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err);

/* Sends the request's signal to the process that serves this env, if it is certain that it
 * does, is a qvm, and (where the system can tell) catches that signal: the default action
 * of both signals is to end the process. Codes as vm_server_find. */
int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct qvm_error *err);

/* For the platforms' files: is `executable`, that of process `pid`, which serves the env
 * `path`, a qvm? 0, or -1 and code not_qvm. */
int vm_server_check_name(const char *executable, pid_t pid, const char *path,
                         struct qvm_error *err);

#endif
