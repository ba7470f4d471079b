/* Opening judges a file by its descriptor: its name may mean another file by then. Saving
 * replaces a regular file by a new one, which is written beside it and renamed; what is not
 * a regular file is written through. The directory stays open meanwhile, so that all steps
 * work on the same one. */
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

/* Opening --------------------------------------------------------------------------- */

static int fail_other(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a regular file", path);
}

static int open_regular(const char *path, int more_flags, uint64_t *size,
                        struct qvm_error *err)
{
    struct stat status;
    /* O_NONBLOCK: a FIFO must not make us wait before it is refused. */
    int fd = retry_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags);

    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(fd, &status) != 0)
        qvm_fail_errno(err, errno, path);
    else if (!S_ISREG(status.st_mode))
        fail_other(path, err);
    else {
        *size = (uint64_t)status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

int regular_open(const char *path, uint64_t *size, struct qvm_error *err)
{
    return open_regular(path, 0, size, err);
}

int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (!S_ISREG(status.st_mode))
        return fail_other(path, err);
    return open_regular(path, O_NOFOLLOW, size, err);
}

/* Saving ---------------------------------------------------------------------------- */

#define LINKS_MAX 8 /* links to links */

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

/* Regular files ------------------------------------------------------------------------ */

/* Gives a new file the owner and the access of the old one. Only root can give a file away:
 * what then is this user's own keeps of each right what the old owner had, and without the
 * old group what both the group and the others had. */
static int keep_access(int fd, const struct entry *entry, const struct stat *old)
{
    mode_t mode = old->st_mode & 0777, owner = mode >> 6, both = mode & (mode >> 3) & 07;
    bool has_list = false;

    if (os_keep_acl(entry->directory, entry->name, old, fd, &has_list) != 0)
        return -1;
    if (fchown(fd, old->st_uid, old->st_gid) != 0) {
        /* With an access list the mode does not tell what the old group was denied. */
        if (fchown(fd, (uid_t)-1, old->st_gid) != 0)
            mode = has_list ? mode & 0700 : (mode & 0700) | both << 3 | both;
        mode &= owner << 6 | owner << 3 | owner;
    }
    return fchmod(fd, mode);
}

/* As save_new; with the access of the file `old`, if there is one. */
static int write_new(const struct entry *entry, const char *name,
                     const struct content *content, const struct stat *old)
{
    int directory = entry->directory;
    int fd = retry_create(directory, name, content->is_private || old ? 0600 : 0666);
    int number = 0;

    if (fd < 0)
        return errno;
    if (old && keep_access(fd, entry, old) != 0)
        number = errno;
    /* On the disk before it takes the old one's name: the power may fail. */
    if (number == 0 &&
        (write_all(fd, content->bytes, content->n) != 0 || retry_fsync(fd) != 0))
        number = errno;
    /* What was interrupted is on the disk, and nobody can close it once more. */
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

/* old: what there is, or NULL. */
static int replace(const struct entry *entry, const char *path, const struct stat *old,
                   const struct content *content, struct qvm_error *err)
{
    enum { ROOM = 40, TRIES = 16 }; /* for what is added to the name, which is cut for it */
    char new_name[NAME_MAX + 1];
    int number = EEXIST;

    /* A name that is taken was left by a process that ended, or was put there. */
    for (unsigned i = 0; i < TRIES && number == EEXIST; i++) {
        snprintf(new_name, sizeof new_name, "%.*s.new-%ld-%u", NAME_MAX - ROOM, entry->name,
                 (long)getpid(), i);
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

/* What is written through ---------------------------------------------------------------
 */

/* Without SIGPIPE: that a reader has left is an error of the call, not the end of the
 * process. One that was pending before stays so. */
static int write_without_signal(int fd, const struct content *content)
{
    const struct timespec at_once = {0, 0};
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
        sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number;
}

static bool is_stream(const struct stat *status)
{
    return S_ISFIFO(status->st_mode) || S_ISCHR(status->st_mode);
}

/* Opens a FIFO or a device that was seen to be one; a FIFO that nobody reads would wait. */
static int write_through(const struct entry *entry, const char *path, int more_flags,
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
        number = EBUSY; /* another one than was seen */
    /* A link's target may be anywhere, and others can make FIFOs, though no devices. */
    if (number == 0 && more_flags != O_NOFOLLOW && S_ISFIFO(status.st_mode) &&
        status.st_uid != 0 && status.st_uid != geteuid())
        number = EACCES;
    if (number == 0)
        number = write_without_signal(fd, content);
    if (fd >= 0)
        close(fd);
    return number == 0 ? 0 : qvm_fail_errno(err, number, path);
}

/* The standard output, if that is what the link leads to; else -1. Lua may have text for it
 * that is not written yet. */
static int standard_output(const struct stat *target)
{
    struct stat status;

    if (fstat(STDOUT_FILENO, &status) != 0 || status.st_dev != target->st_dev ||
        status.st_ino != target->st_ino)
        return -1;
    fflush(stdout);
    return STDOUT_FILENO;
}

/* By what is there -----------------------------------------------------------------------
 */

/* What the functions below return where a link leads to another path. */
enum { FOLLOW = 1 };

/* Finds where a link leads by its text, since there may be nothing yet. */
static int follow(const struct entry *entry, const char *path, char next[PATH_MAX],
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
    int number;

    if (!entry_is_safe(entry))
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: a symbolic link in a directory that others can change is not "
                        "followed: name the file it leads to",
                        path);
    if (fstatat(entry->directory, entry->name, &target, 0) != 0)
        return errno == ENOENT ? follow(entry, path, next, err)
                               : qvm_fail_errno(err, errno, path);
    if (standard_output(&target) >= 0) {
        number = write_without_signal(STDOUT_FILENO, content);
        return number == 0 ? 0 : qvm_fail_errno(err, number, path);
    }
    if (is_stream(&target))
        return write_through(entry, path, 0, S_ISFIFO(target.st_mode), content, err);
    if (S_ISREG(target.st_mode) && target.st_nlink == 0)
        return qvm_fail(err, QVM_NOT_FOUND, "%s: leads to a file that was removed", path);
    return follow(entry, path, next, err);
}

static int fail_kind(const char *path, const struct stat *there, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "%s: is a %s: a regular file, a FIFO or a character device is needed",
                    path,
                    S_ISDIR(there->st_mode)   ? "directory"
                    : S_ISBLK(there->st_mode) ? "block device"
                                              : "socket");
}

static int save_entry(const struct entry *entry, const char *path,
                      const struct content *content, char next[PATH_MAX],
                      struct qvm_error *err)
{
    struct stat there;

    if (fstatat(entry->directory, entry->name, &there, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return qvm_fail_errno(err, errno, path);
        return replace(entry, path, NULL, content, err);
    }
    if (S_ISLNK(there.st_mode))
        return save_to_link(entry, path, content, next, err);
    if (!S_ISREG(there.st_mode) && !is_stream(&there))
        return fail_kind(path, &there, err);
    if (!entry_is_trusted(entry, &there))
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: belongs to another user, in a directory that others can "
                        "change: not written",
                        path);
    if (is_stream(&there))
        return write_through(entry, path, O_NOFOLLOW, S_ISFIFO(there.st_mode), content,
                             err);
    return replace(entry, path, &there, content, err);
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
              struct save_paths *paths, struct qvm_error *err)
{
    const struct content content = {bytes, n, is_private};

    for (unsigned links = 0; links <= LINKS_MAX; links++) {
        char *next = paths->path[links % 2];
        int status = save_at(path, &content, next, err);

        if (status != FOLLOW)
            return status;
        path = next;
    }
    return qvm_fail_errno(err, ELOOP, path);
}
