/* The part of vm_server.h that is the same on every system. A qvm is recognised by the base
 * name of its executable; integrators install it in different directories (/sbin,
 * /system/bin, /proc/boot). The messages are shared so that a failure reads the same
 * wherever it is found. */
#include "host/vm_server.h"

#include <signal.h>
#include <string.h>

int vm_server_signal_number(enum vm_request what)
{
    return what == VM_REQUEST_STATUS ? SIGUSR1 : SIGUSR2;
}

int vm_server_check_name(const char *executable, pid_t pid, const char *path,
                         struct qvm_error *err)
{
    const char *slash = strrchr(executable, '/');
    const char *name = slash ? slash + 1 : executable;

    if (strcmp(name, "qvm") == 0)
        return 0;
    return qvm_fail(err, QVM_NOT_QVM, "%s: served by process %ld, which is %s, not qvm",
                    path, (long)pid, qvm_error_copy(err, name));
}

bool vm_gate_enter(struct vm_gate *gate, const char *path, struct qvm_error *err)
{
    pthread_mutex_lock(&gate->lock);
    if (!gate->closed)
        return true;
    pthread_mutex_unlock(&gate->lock);
    vm_server_fail_timeout(path, err);
    return false;
}

void vm_gate_leave(struct vm_gate *gate, pid_t sent_to)
{
    gate->sent_to = sent_to;
    pthread_mutex_unlock(&gate->lock);
}

int vm_server_fail_timeout(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_TIMEOUT, "%s: no answer: its qvm process may be stuck", path);
}

int vm_server_fail_unserved(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_GONE, "%s: no process serves it: the VM is gone", path);
}

int vm_server_fail_ended(const char *path, pid_t pid, struct qvm_error *err)
{
    return qvm_fail(err, QVM_GONE, "%s: process %ld, which served it, is gone", path,
                    (long)pid);
}
