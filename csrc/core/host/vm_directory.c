/* Discovery. A system is a subdirectory of the root that has an env: while its qvm process
 * lives, QNX shows /dev/qvm/<system>/env. The env is looked up with fstatat() relative to
 * the open root, and not opened, so listing disturbs no VM. A directory without env belongs
 * to a VM that is rebooting or gone. */
#include "host/vm_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A name becomes part of a path: "/" or ".." in it would lead out of the root. */
bool vm_directory_is_name(const char *name, size_t size)
{
    if (size == 0 || memchr(name, '/', size) || memchr(name, '\0', size))
        return false;
    return !(name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')));
}

static int open_list(struct vm_directory *directory, const char *path, bool systems,
                     struct qvm_error *err)
{
    directory->systems = systems;
    directory->stream = opendir(path);
    return directory->stream ? 0 : qvm_fail_errno(err, errno, path);
}

int vm_directory_open_root(struct vm_directory *directory, const char *root,
                           struct qvm_error *err)
{
    return open_list(directory, root, true, err);
}

int vm_directory_open_nodes(struct vm_directory *directory, const char *path,
                            struct qvm_error *err)
{
    return open_list(directory, path, false, err);
}

/* True also where this user cannot find out, as he may not search the directory (EACCES): a
 * VM must not be missing from a list unnoticed. A directory that a process served with FUSE
 * until it was killed fails with ENOTCONN: it had an env, as the files that a killed VM
 * leaves do. */
static bool has_env(const struct vm_directory *directory, const char *name)
{
    char path[NAME_MAX + sizeof "/env"];
    struct stat status;
    int length = snprintf(path, sizeof path, "%s/env", name);

    return length > 0 && (size_t)length < sizeof path &&
           (fstatat(dirfd(directory->stream), path, &status, 0) == 0 || errno == ENOTCONN ||
            errno == EACCES);
}

static bool is_listed(const struct vm_directory *directory, const char *name)
{
    if (!vm_directory_is_name(name, strlen(name)))
        return false;
    return directory->systems ? has_env(directory, name) : strcmp(name, "env") != 0;
}

const char *vm_directory_next(struct vm_directory *directory)
{
    const struct dirent *entry;

    /* readdir() returns NULL at the end and on an error; only errno tells which. */
    for (;;) {
        errno = 0;
        entry = readdir(directory->stream);
        if (!entry)
            break;
        if (is_listed(directory, entry->d_name))
            return entry->d_name;
    }
    directory->error = errno;
    return NULL;
}

void vm_directory_close(struct vm_directory *directory)
{
    if (directory->stream)
        closedir(directory->stream);
    directory->stream = NULL;
}
