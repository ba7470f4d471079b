/* Two descriptors stay open: of the new directory and of its parent. All calls go through
 * them, so exchanging a name on the path has no effect. POSIX cannot create a directory and
 * open it in one step; what is opened after mkdirat() is therefore checked. */
#include "util/new_directory.h"

#include "util/file_io.h"
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In a parent that others can change, the new directory may have been exchanged since it
 * was created: it must not be a link, and must belong to this user. */
static int open_created(struct new_directory *directory, const char *path,
                        struct qvm_error *err)
{
    const struct entry *entry = &directory->entry;
    struct stat status;

    directory->fd = retry_openat(entry->directory, entry->name,
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory->fd < 0 || fstat(directory->fd, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (entry_is_safe(entry) || status.st_uid == geteuid())
        return 0;
    return qvm_fail(err, QVM_BUSY, "%s: was exchanged for another directory", path);
}

/* mkdirat() fails if the name is taken, even by a symbolic link, so nobody can prepare a
 * place for the directory. */
static int create(struct new_directory *directory, const char *path, struct qvm_error *err)
{
    const struct entry *entry = &directory->entry;

    if (mkdirat(entry->directory, entry->name, 0700) != 0) {
        if (errno == EEXIST)
            return qvm_fail(err, QVM_BUSY, "%s: exists already", path);
        return qvm_fail_errno(err, errno, path);
    }
    if (open_created(directory, path, err) == 0)
        return 0;
    unlinkat(entry->directory, entry->name, AT_REMOVEDIR);
    return -1;
}

static void release(struct new_directory *directory)
{
    if (directory->fd >= 0)
        close(directory->fd);
    entry_close(&directory->entry);
    free(directory->path);
    directory->path = NULL;
}

int new_directory_open(struct new_directory *directory, const char *path,
                       struct qvm_error *err)
{
    *directory = (struct new_directory){.fd = -1, .entry = {.directory = -1}};
    directory->path = strdup(path);
    if (!directory->path)
        return qvm_fail_memory(err, path);
    if (entry_open(&directory->entry, path, err) == 0 && create(directory, path, err) == 0)
        return 0;
    release(directory);
    return -1;
}

/* The names are kept so that closing removes exactly these files: a directory that someone
 * else has added files to stays. */
int new_directory_write(struct new_directory *directory, const char *name,
                        const void *bytes, size_t n, struct qvm_error *err)
{
    int number = EINVAL;

    if (directory->count < NEW_FILES_MAX && strlen(name) < NEW_NAME_SIZE &&
        !strchr(name, '/'))
        number = save_new(directory->fd, name, bytes, n, true);
    if (number != 0)
        return qvm_fail_system(err, number, "%s/%s", directory->path, name);
    memcpy(directory->names[directory->count++], name, strlen(name) + 1);
    return 0;
}

void new_directory_close(struct new_directory *directory, bool keep)
{
    if (!directory->path)
        return;
    for (unsigned i = 0; i < directory->count && !keep; i++)
        unlinkat(directory->fd, directory->names[i], 0);
    if (!keep)
        unlinkat(directory->entry.directory, directory->entry.name, AT_REMOVEDIR);
    release(directory);
}
