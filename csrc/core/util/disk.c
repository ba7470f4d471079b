/* Free space comes from statvfs(), in units of f_frsize bytes.
 *
 * A file is removed by its name, but was examined through a descriptor. In between, another
 * user of the directory may have put another file there. Therefore the name is looked up
 * again in the directory, which is opened once, and compared by device and inode with the
 * open file. Between this check and unlinkat() a name can still be exchanged: POSIX has no
 * call that removes a name only if it refers to a given file. Then that other entry of the
 * same name in the same directory is removed, never what it links to. */
#include "util/disk.h"

#include "util/entry.h"

#include <errno.h>
#include <fcntl.h>
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
