/* Opening judges a file by its descriptor, not by its name, which may refer to another file
 * a moment later.
 *
 * Saving a regular file takes these steps, all relative to one descriptor of its directory:
 * 1. create NAME.new-PID-I beside it, with O_EXCL;
 * 2. give it the access list, owner, group and mode of the file that it will replace;
 * 3. write the bytes and fsync: they are on the disk before the name refers to them;
 * 4. rename it to NAME, which replaces the old file atomically.
 * A step that fails removes the new file and leaves the old one as it was. The access
 * rights come before the bytes, so nobody who could not read the old file can read the new
 * one at any time.
 *
 * FIFOs and character devices cannot be replaced by a rename; they are opened and written.
 * Symbolic links are resolved here, one at a time, since each directory on the way has to
 * pass the checks of entry.h. */
#include "util/file_io.h"

#include "util/entry.h"
#include "util/os.h"
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Opening ----------------------------------------------------------------------------- */

static int fail_not_regular(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a regular file", path);
}

static int open_and_check(const char *path, int more_flags, uint64_t *size,
                          struct qvm_error *err)
{
    struct stat status;
    /* O_NONBLOCK: opening a FIFO would otherwise wait for its writer. */
    int fd = retry_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags);

    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(fd, &status) != 0)
        qvm_fail_errno(err, errno, path);
    else if (!S_ISREG(status.st_mode))
        fail_not_regular(path, err);
    else {
        *size = (uint64_t)status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

int regular_open(const char *path, uint64_t *size, struct qvm_error *err)
{
    return open_and_check(path, 0, size, err);
}

int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (!S_ISREG(status.st_mode))
        return fail_not_regular(path, err);
    return open_and_check(path, O_NOFOLLOW, size, err);
}

/* Saving ------------------------------------------------------------------------------ */

#define LINKS_MAX 8 /* symbolic links followed for one path */

struct content {
    const char *bytes;
    size_t n;
    bool is_private;
};

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Regular files ----------------------------------------------------------------------- */

/* Gives a new file the owner, group and access rights of the old one. Only root can give a
 * file away. If the owner cannot be kept:
 * - the file now belongs to this user, and no class gets a right that the old owner lacked;
 * - if the group cannot be kept either, members of the old group may now count as others,
 *   and a new group's members as group: both classes get the rights that both had. */
static int copy_access(int fd, const struct entry *entry, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777, owner = mode >> 6, both = mode & (mode >> 3) & 07;
    bool has_list = false;

    if (os_copy_acl(entry->directory, entry->name, old, fd, &has_list) != 0)
        return -1;
    if (fchown(fd, old->st_uid, old->st_gid) != 0) {
        /* With an access list the group bits are its mask: they do not say what the old
         * group was denied. */
        if (fchown(fd, (uid_t)-1, old->st_gid) != 0)
            mode = has_list ? mode & 0700 : (mode & 0700) | both << 3 | both;
        mode &= owner << 6 | owner << 3 | owner;
    }
    return fchmod(fd, mode);
}

/* Like save_new(); with the access rights of the file `old` unless that is NULL. */
static int write_new(const struct entry *entry, const char *name,
                     const struct content *content, const struct stat *old)
{
    int directory = entry->directory;
    int fd = retry_create(directory, name, content->is_private || old ? 0600 : 0666);
    int number = 0;

    if (fd < 0)
        return errno;
    if (old && copy_access(fd, entry, old) != 0)
        number = errno;
    /* A rename may reach the disk before the bytes do, unless they are there already. */
    if (number == 0 &&
        (write_all(fd, content->bytes, content->n) != 0 || retry_fsync(fd) != 0))
        number = errno;
    /* EINTR: the bytes are on the disk, and a second close() is never right. */
    if (close(fd) != 0 && number == 0 && errno != EINTR)
        number = errno;
    if (number != 0)
        unlinkat(directory, name, 0);
    return number;
}

int save_new(int directory, const char *name, const void *bytes, size_t n, bool is_private)
{
    const struct content content = {bytes, n, is_private};
    const struct entry entry = {.directory = directory};

    return write_new(&entry, name, &content, NULL);
}

/* Steps 1 to 4 for the file `old`, or for a new file if that is NULL. */
static int replace(const struct entry *entry, const char *path, const struct stat *old,
                   const struct content *content, struct qvm_error *err)
{
    enum { SUFFIX_MAX = 40, TRIES = 16 };
    char new_name[NAME_MAX + 1];
    int number = EEXIST;

    /* A name that is taken was left by a process that crashed, or was put there by another
     * user. */
    for (unsigned i = 0; i < TRIES && number == EEXIST; i++) {
        snprintf(new_name, sizeof new_name, "%.*s.new-%ld-%u", NAME_MAX - SUFFIX_MAX,
                 entry->name, (long)getpid(), i);
        number = write_new(entry, new_name, content, old);
    }
    if (number == EEXIST)
        return qvm_fail_system(err, number, "%s: %s", path, qvm_error_copy(err, new_name));
    if (number == 0 &&
        renameat(entry->directory, new_name, entry->directory, entry->name) != 0) {
        number = errno;
        unlinkat(entry->directory, new_name, 0);
    }
    return number == 0 ? 0 : qvm_fail_errno(err, number, path);
}

/* FIFOs, devices and standard output -------------------------------------------------- */

/* Writes without SIGPIPE, which would end the process when the reader has left: EPIPE is
 * enough. The signal is blocked during the write and, if the write has raised it, taken
 * from the pending ones. One that was pending before stays pending. */
static int write_without_signal(int fd, const struct content *content)
{
    const struct timespec no_wait = {0, 0};
    sigset_t pipe, before, pending;
    int number = 0;
    bool was_pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (write_all(fd, content->bytes, content->n) != 0)
        number = errno;
    if (number == EPIPE && !was_pending)
        sigtimedwait(&pipe, NULL, &no_wait);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number;
}

static bool is_stream(const struct stat *status)
{
    return S_ISFIFO(status->st_mode) || S_ISCHR(status->st_mode);
}

/* Opens and writes an entry whose status said that it is a FIFO or a character device.
 * O_NONBLOCK: opening a FIFO that nobody reads would wait; it fails with ENXIO instead.
 * Writing may block, so the flag is cleared after that.
 *
 * The name may have been exchanged since its status was read, so the descriptor is judged
 * once more. more_flags is O_NOFOLLOW, or 0 for a symbolic link in a safe directory. */
static int write_stream(const struct entry *entry, const char *path, int more_flags,
                        bool is_fifo, const struct content *content, struct qvm_error *err)
{
    int fd = retry_openat(entry->directory, entry->name,
                          O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags);
    struct stat status;
    int number = fd < 0 ? errno : 0;

    if (number == ENXIO && is_fifo)
        return qvm_fail(err, QVM_BUSY, "%s: nobody reads from it: start its reader first",
                        path);
    if (number == 0 && (fstat(fd, &status) != 0 || fcntl(fd, F_SETFL, 0) != 0))
        number = errno;
    if (number == 0 && (!is_stream(&status) ||
                        (more_flags == O_NOFOLLOW && !entry_is_trusted(entry, &status))))
        number = EBUSY; /* exchanged */
    /* A link's target may be in a directory of others. They could put a FIFO of their own
     * there; only root can create devices. */
    if (number == 0 && more_flags != O_NOFOLLOW && S_ISFIFO(status.st_mode) &&
        status.st_uid != 0 && status.st_uid != geteuid())
        number = EACCES;
    if (number == 0)
        number = write_without_signal(fd, content);
    if (fd >= 0)
        close(fd);
    return number == 0 ? 0 : qvm_fail_errno(err, number, path);
}

static bool is_standard_output(const struct stat *target)
{
    struct stat status;

    return fstat(STDOUT_FILENO, &status) == 0 && status.st_dev == target->st_dev &&
           status.st_ino == target->st_ino;
}

static int write_standard_output(const char *path, const struct content *content,
                                 struct qvm_error *err)
{
    int number;

    fflush(stdout); /* what Lua has printed before comes first */
    number = write_without_signal(STDOUT_FILENO, content);
    return number == 0 ? 0 : qvm_fail_errno(err, number, path);
}

/* Which of these it is ---------------------------------------------------------------- */

/* Returned by the functions below if a link leads to another path, which is in `next`. */
enum { FOLLOW = 1 };

/* Reads where a link leads. The link's text is used since its target may not exist yet; a
 * relative one counts from the link's directory. */
static int read_link(const struct entry *entry, const char *path, char next[PATH_MAX],
                     struct qvm_error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(entry->directory, entry->name, target, sizeof target - 1);
    const char *slash = strrchr(path, '/');
    int head = slash ? (int)(slash - path) + 1 : 0, needed;

    if (length < 0)
        return qvm_fail_errno(err, errno, path);
    target[length] = '\0';
    needed = snprintf(next, PATH_MAX, "%.*s%s", target[0] == '/' ? 0 : head, path, target);
    if (needed < 0 || needed >= PATH_MAX)
        return qvm_fail_errno(err, ENAMETOOLONG, path);
    return FOLLOW;
}

static int save_to_link(const struct entry *entry, const char *path,
                        const struct content *content, char next[PATH_MAX],
                        struct qvm_error *err)
{
    struct stat target;

    if (!entry_is_safe(entry))
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: a symbolic link in a directory that others can change is not "
                        "followed: name the file it leads to",
                        path);
    if (fstatat(entry->directory, entry->name, &target, 0) != 0)
        return errno == ENOENT ? read_link(entry, path, next, err)
                               : qvm_fail_errno(err, errno, path);
    /* /dev/stdout leads to /proc/self/fd/1, which may be a pipe or a file without a name:
     * the descriptor that is open already is the only way to it. */
    if (is_standard_output(&target))
        return write_standard_output(path, content, err);
    if (is_stream(&target))
        return write_stream(entry, path, 0, S_ISFIFO(target.st_mode), content, err);
    if (S_ISREG(target.st_mode) && target.st_nlink == 0)
        return qvm_fail(err, QVM_NOT_FOUND, "%s: leads to a file that was removed", path);
    return read_link(entry, path, next, err);
}

static int fail_kind(const char *path, const struct stat *found, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "%s: is a %s: a regular file, a FIFO or a character device is needed",
                    path,
                    S_ISDIR(found->st_mode)   ? "directory"
                    : S_ISBLK(found->st_mode) ? "block device"
                                              : "socket");
}

static int save_entry(const struct entry *entry, const char *path,
                      const struct content *content, char next[PATH_MAX],
                      struct qvm_error *err)
{
    struct stat found;

    if (fstatat(entry->directory, entry->name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return qvm_fail_errno(err, errno, path);
        return replace(entry, path, NULL, content, err);
    }
    if (S_ISLNK(found.st_mode))
        return save_to_link(entry, path, content, next, err);
    if (!S_ISREG(found.st_mode) && !is_stream(&found))
        return fail_kind(path, &found, err);
    if (!entry_is_trusted(entry, &found))
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: belongs to another user, in a directory that others can "
                        "change: not written",
                        path);
    if (is_stream(&found))
        return write_stream(entry, path, O_NOFOLLOW, S_ISFIFO(found.st_mode), content, err);
    return replace(entry, path, &found, content, err);
}

static int save_at(const char *path, const struct content *content, char next[PATH_MAX],
                   struct qvm_error *err)
{
    struct entry entry;
    size_t length = strlen(path);
    int status;

    if (length > 0 && path[length - 1] == '/')
        return qvm_fail_errno(err, EISDIR, path);
    if (entry_open(&entry, path, err) != 0)
        return -1;
    status = save_entry(&entry, path, content, next, err);
    entry_close(&entry);
    return status;
}

int save_file(const char *path, const void *bytes, size_t n, bool is_private,
              struct save_paths *followed, struct qvm_error *err)
{
    const struct content content = {bytes, n, is_private};

    for (unsigned links = 0; links <= LINKS_MAX; links++) {
        char *next = followed->path[links % 2]; /* the other one is `path` */
        int status = save_at(path, &content, next, err);

        if (status != FOLLOW)
            return status;
        path = next;
    }
    return qvm_fail_errno(err, ELOOP, path);
}
