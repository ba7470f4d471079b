/* Lists the VMs' part of the pathname space: ROOT/<system>/env and the vdevs' nodes beside
 * it. Only names are read here; opening the node of a vdev can have side effects. */
#ifndef QVM_VM_DIRECTORY_H
#define QVM_VM_DIRECTORY_H

#include "util/error.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

struct vm_directory {
    DIR *stream;
    bool systems; /* list subdirectories that have an env; else: names beside env */
    int error;    /* errno if reading the directory failed before its end, else 0 */
};

/* Can this be the name of a system or node? Such a name stays within its directory: it is
 * not empty, "." or "..", and has no '/' or NUL. */
bool vm_directory_is_name(const char *name, size_t size);

/* Opens a root to list its systems. Returns 0, or -1 and nothing to close. */
int vm_directory_open_root(struct vm_directory *directory, const char *root,
                           struct qvm_error *err);

/* Opens the directory of one system to list the nodes beside its env. */
int vm_directory_open_nodes(struct vm_directory *directory, const char *path,
                            struct qvm_error *err);

/* The next name in the directory's order, valid until the next call; NULL at the end and on
 * an error. Systems that vanish, or whose env cannot be found, are skipped. */
const char *vm_directory_next(struct vm_directory *directory);

/* May be called more than once, and for one that is all zero. */
void vm_directory_close(struct vm_directory *directory);

#endif
