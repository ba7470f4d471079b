/* The part of finding a VM's process that is the same on every system: a qvm is known by
 * the base name of its executable, whatever directory that is in. */
#include "host/vm_server.h"

#include <string.h>

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
