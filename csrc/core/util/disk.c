/* Free space comes from statvfs(), in units of f_frsize bytes.
 *
 * A file is removed by its name, but was examined through a descriptor. In between, another
 * user of the directory may have put another file there. Therefore the name is looked up
 * again in the directory, which is opened once, and compared by device and inode with the
 * open file. Between this check and unlinkat() a name can still be exchanged: POSIX has no
 * call that removes a name only if it refers to a given file. Then that other entry of the
 * same name in the same directory is removed, never what it links to.
 *
 * A directory is opened with O_NOFOLLOW, and the files in it are removed through that
 * descriptor, so exchanging its name has no effect on which files those are. */
#include "util/disk.h"

#include "util/entry.h"
#include "util/os.h"
#include "util/retry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int disk_free(const char *path, uint64_t *bytes, struct qvm_error *err)
{
    struct statvfs disk;
    uint64_t unit;

    if (statvfs(path, &disk) != 0)
        return qvm_fail_errno(err, errno, path);
    if (disk.f_blocks == 0)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: its file system has no size", path);
    unit = disk.f_frsize ? disk.f_frsize : disk.f_bsize;
    if (unit != 0 && (uint64_t)disk.f_bfree > INT64_MAX / unit)
        *bytes = INT64_MAX;
    else
        *bytes = (uint64_t)disk.f_bfree * unit;
    return 0;
}

/* Returns 0 if the entry is the regular file with this status, else -1. */
static int check_same(const struct entry *entry, const struct stat *file, const char *path,
                      struct qvm_error *err)
{
    struct stat named;

    if (fstatat(entry->directory, entry->name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return qvm_fail_errno(err, errno, path);
    if (!S_ISREG(file->st_mode) || named.st_dev != file->st_dev ||
        named.st_ino != file->st_ino)
        return qvm_fail(err, QVM_BUSY, "%s: is another file by now", path);
    return 0;
}

int remove_open_file(const char *path, int fd, struct qvm_error *err)
{
    struct entry entry;
    struct stat file;
    int result;

    if (fstat(fd, &file) != 0)
        return qvm_fail_errno(err, errno, path);
    if (entry_open(&entry, path, err) != 0)
        return -1;
    result = check_same(&entry, &file, path, err);
    if (result == 0 && unlinkat(entry.directory, entry.name, 0) != 0)
        result = qvm_fail_errno(err, errno, path);
    entry_close(&entry);
    return result;
}

/* Directories ------------------------------------------------------------------------- */

/* NULL: `err` is filled. */
static DIR *open_own(const struct entry *entry, const char *path, struct qvm_error *err)
{
    int fd = retry_openat(entry->directory, entry->name,
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = NULL;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0 ||
        (status.st_uid == geteuid() && !(stream = fdopendir(fd))))
        qvm_fail_errno(err, errno, path);
    else if (!stream)
        qvm_fail(err, QVM_PERMISSION, "%s: belongs to another user", path);
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

/* On some systems root can unlink a directory, and what is in it would be lost. */
static bool remove_unless_directory(int directory, const char *name)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISDIR(status.st_mode) && unlinkat(directory, name, 0) == 0;
}

/* Removes the files that reading the directory once shows; false: there was none to remove.
 * POSIX does not say whether a removal makes readdir() skip others. */
static bool remove_files(DIR *stream)
{
    const struct dirent *found;
    bool removed = false;

    rewinddir(stream);
    while ((found = readdir(stream)) != NULL)
        removed |= remove_unless_directory(dirfd(stream), found->d_name);
    return removed;
}

int remove_directory(const char *path, const char *first, struct qvm_error *err)
{
    struct entry entry;
    DIR *stream;
    int result = -1;

    if (entry_open(&entry, path, err) != 0)
        return -1;
    stream = open_own(&entry, path, err);
    if (stream) {
        if (first)
            remove_unless_directory(dirfd(stream), first);
        while (remove_files(stream))
            ;
        closedir(stream);
        result = unlinkat(entry.directory, entry.name, AT_REMOVEDIR);
        if (result != 0)
            qvm_fail_errno(err, errno, path);
    }
    entry_close(&entry);
    return result;
}

int check_safe_directory(const char *path, struct qvm_error *err)
{
    struct entry entry = {.directory = os_open_directory(path)};
    int result = 0;

    if (entry.directory < 0 || fstat(entry.directory, &entry.parent) != 0)
        result = qvm_fail_errno(err, errno, path);
    else if (!entry_is_safe(&entry))
        result = qvm_fail(err, QVM_PERMISSION,
                          "%s: other users can write to it: use a directory of your own "
                          "with mode 0755 or less, or one that does not exist yet",
                          path);
    entry_close(&entry);
    return result;
}
