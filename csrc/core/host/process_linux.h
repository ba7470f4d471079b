/* A process on Linux that is supposed to serve a VM, referred to by a descriptor of its
 * directory in /proc. The descriptor keeps referring to this process: once it has ended,
 * every function below fails with QVM_GONE, even if its id belongs to another process by
 * then.
 *
 * Functions that return int return 0, or -1 and a filled err. */
#ifndef QVM_PROCESS_LINUX_H
#define QVM_PROCESS_LINUX_H

#include "util/error.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct process {
    const char *path; /* of the env that it serves, for messages; the caller's */
    pid_t pid;
    int directory; /* /proc/PID, which is also a pidfd for pidfd_send_signal() */
};

/* Opens whichever process has this id now. On failure there is nothing to close. */
int process_open(struct process *process, pid_t pid, const char *path,
                 struct qvm_error *err);
void process_close(struct process *process);

/* Does it have this file open? QVM_GONE if not: it is not the process that served it. */
int process_check_open_file(const struct process *process, const struct stat *file,
                            struct qvm_error *err);

/* Is its executable a qvm? QVM_NOT_QVM if not. */
int process_check_executable(const struct process *process, struct qvm_error *err);

/* Does it catch this signal? QVM_NOT_QVM if not: the signal would end it. */
int process_check_catches(const struct process *process, int number, struct qvm_error *err);

int process_signal(const struct process *process, int number, struct qvm_error *err);

/* Verifies the process that serves the env at `path` (vm_server_linux.c lists the steps),
 * and calls `visit`, unless it is NULL, with it and the context. `pid` is set once it is
 * known. Fails as vm_server_find() or as `visit`. */
typedef int process_visitor(const struct process *process, void *context,
                            struct qvm_error *err);
int process_visit_server(const char *path, int64_t deadline, process_visitor *visit,
                         void *context, pid_t *pid, struct qvm_error *err);

#endif
