/* The directory and the one that holds it stay open, and all calls go through these two
 * descriptors: whoever exchanges a name on the way to them gains nothing. */
#include "util/new_directory.h"

#include "util/file_io.h"
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where others can change the names, one of them may have taken the place of the directory
 * since it was made: it must be no link, and this user's. */
static int open_made(struct new_directory *made, const char *path, struct qvm_error *err)
{
    const struct entry *entry = &made->entry;
    struct stat status;

    made->fd = retry_openat(entry->directory, entry->name,
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made->fd < 0 || fstat(made->fd, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (entry_is_safe(entry) || status.st_uid == geteuid())
        return 0;
    return qvm_fail(err, QVM_BUSY, "%s: was exchanged for another directory", path);
}

static int make(struct new_directory *made, const char *path, struct qvm_error *err)
{
    const struct entry *entry = &made->entry;

    if (mkdirat(entry->directory, entry->name, 0700) != 0) {
        if (errno == EEXIST)
            return qvm_fail(err, QVM_BUSY, "%s: exists already", path);
        return qvm_fail_errno(err, errno, path);
    }
    if (open_made(made, path, err) == 0)
        return 0;
    unlinkat(entry->directory, entry->name, AT_REMOVEDIR);
    return -1;
}

static void release(struct new_directory *made)
{
    if (made->fd >= 0)
        close(made->fd);
    entry_close(&made->entry);
    free(made->path);
    made->path = NULL;
}

int new_directory_open(struct new_directory *made, const char *path, struct qvm_error *err)
{
    *made = (struct new_directory){.fd = -1, .entry = {.directory = -1}};
    made->path = strdup(path);
    if (!made->path)
        return qvm_fail_memory(err, path);
    if (entry_open(&made->entry, path, err) == 0 && make(made, path, err) == 0)
        return 0;
    release(made);
    return -1;
}

int new_directory_write(struct new_directory *made, const char *name, const void *bytes,
                        size_t n, struct qvm_error *err)
{
    int number = EINVAL;

    if (made->count < NEW_FILES_MAX && strlen(name) < NEW_NAME_SIZE && !strchr(name, '/'))
        number = save_new(made->fd, name, bytes, n, true);
    if (number != 0)
        return qvm_fail_system(err, number, "%s/%s", made->path, name);
    memcpy(made->names[made->count++], name, strlen(name) + 1);
    return 0;
}

void new_directory_close(struct new_directory *made, bool keep)
{
    if (!made->path)
        return;
    for (unsigned i = 0; i < made->count && !keep; i++)
        unlinkat(made->fd, made->names[i], 0);
    if (!keep)
        unlinkat(made->entry.directory, made->entry.name, AT_REMOVEDIR);
    release(made);
}
