/* What the files of vm_server.h share about the process that serves a VM. */
#ifndef QVM_HOST_PROCESS_H
#define QVM_HOST_PROCESS_H

#include "host/vm_server.h"

/* Is this path of the executable of process `pid`, which serves the env `path`, that of a
 * qvm? 0, or -1 and code not_qvm. */
int host_check_name(const char *executable, pid_t pid, const char *path,
                    struct qvm_error *err);

#endif
