/* Splits a path into a directory, which is opened, and a name in it. The path is resolved
 * once, here: symbolic links in the directory part are followed, and whatever happens to
 * them afterwards, the descriptor keeps referring to the directory that was found. Whether
 * the last name is a symbolic link is for the caller to check.
 *
 * Anyone with write permission on a directory can replace the files in it, whoever owns
 * them. entry_is_safe() therefore looks at the directory's owner and mode alone; the sticky
 * bit is not considered, since it does not stop others from adding files. */
#include "util/entry.h"

#include "util/os.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Copies n bytes and terminates them. False if they do not fit or n is 0. */
static bool copy_part(char *to, size_t size, const char *from, size_t n)
{
    if (n == 0 || n >= size)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

int entry_open(struct entry *entry, const char *path, struct qvm_error *err)
{
    char directory[PATH_MAX] = ".";
    size_t end = strlen(path), start;

    /* The last name is path[start, end); the directory part ends with its slash. */
    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/';)
        start--;
    if (end == 0)
        return qvm_fail_errno(err, *path ? EISDIR : ENOENT, path);
    if (!copy_part(entry->name, sizeof entry->name, path + start, end - start) ||
        (start > 0 && !copy_part(directory, sizeof directory, path, start)))
        return qvm_fail_errno(err, ENAMETOOLONG, path);
    entry->directory = os_open_directory(directory);
    if (entry->directory >= 0 && fstat(entry->directory, &entry->parent) == 0)
        return 0;
    entry_close(entry);
    return qvm_fail_errno(err, errno, path);
}

void entry_close(struct entry *entry)
{
    if (entry->directory >= 0)
        os_close(entry->directory);
    entry->directory = -1;
}

bool entry_is_safe(const struct entry *entry)
{
    const struct stat *parent = &entry->parent;

    return (parent->st_uid == 0 || parent->st_uid == geteuid()) &&
           (parent->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool entry_is_trusted(const struct entry *entry, const struct stat *found)
{
    return entry_is_safe(entry) || found->st_uid == geteuid() ||
           found->st_uid == entry->parent.st_uid;
}
