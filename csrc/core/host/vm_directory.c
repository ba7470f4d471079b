#include "host/vm_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool vm_directory_is_name(const char *name, size_t size)
{
    if (size == 0 || memchr(name, '/', size) || memchr(name, '\0', size))
        return false;
    return !(name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')));
}

static int open_list(struct vm_directory *list, const char *path, bool systems,
                     struct qvm_error *err)
{
    list->systems = systems;
    list->dir = opendir(path);
    return list->dir ? 0 : qvm_fail_errno(err, errno, path);
}

int vm_directory_open_root(struct vm_directory *list, const char *root,
                           struct qvm_error *err)
{
    return open_list(list, root, true, err);
}

int vm_directory_open_nodes(struct vm_directory *list, const char *path,
                            struct qvm_error *err)
{
    return open_list(list, path, false, err);
}

static bool has_env(const struct vm_directory *list, const char *name)
{
    char path[NAME_MAX + sizeof "/env"];
    struct stat status;
    int length = snprintf(path, sizeof path, "%s/env", name);

    return length > 0 && (size_t)length < sizeof path &&
           fstatat(dirfd(list->dir), path, &status, 0) == 0;
}

static bool is_wanted(const struct vm_directory *list, const char *name)
{
    if (!vm_directory_is_name(name, strlen(name)))
        return false;
    return list->systems ? has_env(list, name) : strcmp(name, "env") != 0;
}

const char *vm_directory_next(struct vm_directory *list)
{
    const struct dirent *entry;

    for (;;) {
        errno = 0;
        entry = readdir(list->dir);
        if (!entry)
            break;
        if (is_wanted(list, entry->d_name))
            return entry->d_name;
    }
    list->failure = errno;
    return NULL;
}

void vm_directory_close(struct vm_directory *list)
{
    if (list->dir)
        closedir(list->dir);
    list->dir = NULL;
}
