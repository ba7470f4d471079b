/* The verified process of a VM on QNX, for the files that ask the system about it. */
#ifndef QVM_VM_SERVER_QNX_H
#define QVM_VM_SERVER_QNX_H

#include "host/vm_server.h"

/* Opens the env and verifies its server. Returns the connection, still open. */
int vm_server_open_verified(const char *path, int64_t deadline, pid_t *pid,
                            struct qvm_error *err);

/* Asks the connection once more: 0 if the same process still serves it, so that what was
 * learnt about `pid` meanwhile is about this process. */
int vm_server_verify_again(int fd, pid_t pid, const char *path, struct qvm_error *err);

#endif
