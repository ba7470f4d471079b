/* The pathname space of the VMs: ROOT/<system>/env and the vdev nodes beside it. Nothing in
 * it but env is ever opened: opening a vdev's node can have side effects. */
#ifndef QVM_VM_DIRECTORY_H
#define QVM_VM_DIRECTORY_H

#include "util/error.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

struct vm_directory {
    DIR *dir;
    bool systems; /* list subdirectories that have an env; else: names beside env */
    int failure;  /* errno's value when the list ended before its end, else 0 */
};

/* Is this a name that stays in the root? No '/', not "." or "..", no NUL, not empty. */
bool vm_directory_is_name(const char *name, size_t size);

/* Lists the systems below a root. 0 or -1; after 0 the caller closes. */
int vm_directory_open_root(struct vm_directory *list, const char *root,
                           struct qvm_error *err);

/* Lists what is beside the env of one system's directory. */
int vm_directory_open_nodes(struct vm_directory *list, const char *path,
                            struct qvm_error *err);

/* The next name in the system's order, valid until the next call; NULL at the end. Entries
 * that vanish or cannot be read are passed over. */
const char *vm_directory_next(struct vm_directory *list);

/* May be called more than once. */
void vm_directory_close(struct vm_directory *list);

#endif
