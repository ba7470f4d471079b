/* The pathname space of the VMs: ROOT/<system>/env and the vdev nodes beside it. Nothing in
 * it but env is ever opened: opening a vdev's node can have side effects. */
#ifndef QVM_VMDIR_H
#define QVM_VMDIR_H

#include "util/error.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

struct vmdir {
    DIR *dir;
    bool systems; /* list subdirectories that have an env; else: names beside env */
    int failure;  /* errno's value when the list ended before its end, else 0 */
};

/* Is this a name that stays in the root? No '/', not "." or "..", no NUL, not empty. */
bool vmdir_is_name(const char *name, size_t size);

/* Lists the systems below a root. 0 or -1; after 0 the caller closes. */
int vmdir_open_root(struct vmdir *list, const char *root, struct qvm_error *err);

/* Lists what is beside the env of one system's directory. */
int vmdir_open_nodes(struct vmdir *list, const char *path, struct qvm_error *err);

/* The next name in the system's order, valid until the next call; NULL at the end. Entries
 * that vanish or cannot be read are passed over. */
const char *vmdir_next(struct vmdir *list);

/* May be called more than once. */
void vmdir_close(struct vmdir *list);

#endif
