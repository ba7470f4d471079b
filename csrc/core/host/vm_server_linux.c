/* Linux in place of a QNX host, for the simulator. A simulated VM's process holds a POSIX
 * record lock on its env for its life, and F_GETLK on the opened file reports that process,
 * as ConnectServerInfo() does on QNX.
 *
 * The lock alone proves nothing. It belongs to a table of descriptors, which clone() can
 * share: it then outlives the process that took it, and F_GETLK reports an id that another
 * process may have been given. So the process must also have that very file open (device
 * and inode, by its /proc/PID/fd), be called qvm, and catch the signal. All of that is
 * asked, and the signal is sent, through one descriptor of its /proc directory; see
 * serve_through(). */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/vm_server.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <dirent.h>
#    include <errno.h>
#    include <fcntl.h>
#    include <poll.h>
#    include <signal.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/stat.h>
#    include <sys/syscall.h>
#    include <unistd.h>

static int to_poll_timeout(int64_t milliseconds)
{
    if (milliseconds < 0)
        return 0;
    return milliseconds > 1000000 ? 1000000 : (int)milliseconds;
}

static bool may_be_opened(mode_t mode)
{
    return S_ISREG(mode) || S_ISFIFO(mode);
}

int vm_server_open(const char *path, int64_t deadline, struct qvm_error *err)
{
    struct stat status;
    int fd;

    (void)deadline; /* O_NONBLOCK: opening a regular file or a FIFO does not wait */
    if (stat(path, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    if (!may_be_opened(status.st_mode))
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a file", path);
    fd = retry_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(fd, &status) != 0)
        qvm_fail_errno(err, errno, path);
    else if (!may_be_opened(status.st_mode))
        qvm_fail(err, QVM_UNSUPPORTED, "%s: not a file", path);
    else
        return fd;
    close(fd);
    return -1;
}

ssize_t vm_server_read(int fd, const char *path, void *buffer, size_t size,
                       int64_t deadline, struct qvm_error *err)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got = read(fd, buffer, size);
        int64_t left = deadline - os_clock_ms();

        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EINTR)
            return qvm_fail_errno(err, errno, path);
        if (left <= 0)
            return qvm_fail(err, QVM_TIMEOUT, "%s: no answer: its qvm process may be stuck",
                            path);
        if (errno == EAGAIN)
            poll(&ready, 1, to_poll_timeout(left));
    }
}

/* The process that holds the env's lock, 0 if none does. */
static int lock_holder(int fd, const char *path, pid_t *pid, struct qvm_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_GETLK, &lock) != 0)
        return qvm_fail_errno(err, errno, path);
    *pid = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
    if (lock.l_type != F_UNLCK && lock.l_pid <= 0)
        return qvm_fail(err, QVM_NOT_QVM,
                        "%s: served from another machine or process namespace", path);
    return 0;
}

static int fail_ended(const char *path, pid_t pid, struct qvm_error *err)
{
    return qvm_fail(err, QVM_GONE, "%s: process %ld, which served it, is gone", path,
                    (long)pid);
}

static bool is_replaced(int fd, const char *path)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
           (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev);
}

/* Opens the env that a process serves now. A simulated VM replaces its env when it changes;
 * the file opened a moment before then has no holder, but its successor has. */
static int open_served(const char *path, int64_t deadline, pid_t *pid,
                       struct qvm_error *err)
{
    for (;;) {
        int fd = vm_server_open(path, deadline, err);

        if (fd < 0)
            return -1;
        if (lock_holder(fd, path, pid, err) == 0) {
            if (*pid != 0)
                return fd;
            if (is_replaced(fd, path) && os_clock_ms() < deadline) {
                close(fd);
                continue;
            }
            qvm_fail(err, QVM_GONE, "%s: no process serves it: the VM is gone", path);
        }
        close(fd);
        return -1;
    }
}

/* What /proc says of a process that has ended, depending on how far it has come. */
static bool is_of_ended(int number)
{
    return number == ENOENT || number == ESRCH;
}

static int fail_look(const char *path, pid_t pid, int number, struct qvm_error *err)
{
    if (number == EACCES || number == EPERM)
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: process %ld cannot be looked at: run as its user or as root",
                        path, (long)pid);
    return is_of_ended(number) ? fail_ended(path, pid, err)
                               : qvm_fail_errno(err, number, path);
}

/* The descriptors of a process: a stream over its directory "fd", or NULL with errno. */
static DIR *open_descriptors(int process)
{
    int fd = retry_openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), number;
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;

    if (!directory && fd >= 0) {
        number = errno;
        close(fd);
        errno = number;
    }
    return directory;
}

/* Whether one of them is this file: 1, 0, or -1 with errno. A descriptor that is closed
 * meanwhile is not it; one that cannot be looked at might be. */
static int find_file(DIR *descriptors, const struct stat *wanted)
{
    struct dirent *entry;
    struct stat status;
    int number = 0;

    for (errno = 0; (entry = readdir(descriptors)); errno = 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (fstatat(dirfd(descriptors), entry->d_name, &status, 0) != 0)
            number = errno == ENOENT ? number : errno;
        else if (status.st_dev == wanted->st_dev && status.st_ino == wanted->st_ino)
            return 1;
    }
    if (errno == 0)
        errno = number;
    return errno == 0 ? 0 : -1;
}

/* Does the process have the env open that its lock is on? */
static int check_has_open(int process, int env, pid_t pid, const char *path,
                          struct qvm_error *err)
{
    struct stat wanted;
    DIR *descriptors;
    int found, number;

    if (fstat(env, &wanted) != 0)
        return qvm_fail_errno(err, errno, path);
    descriptors = open_descriptors(process);
    if (!descriptors)
        return fail_look(path, pid, errno, err);
    found = find_file(descriptors, &wanted);
    number = errno;
    closedir(descriptors);
    if (found < 0)
        return fail_look(path, pid, number, err);
    return found ? 0 : fail_ended(path, pid, err);
}

/* "/bin/qvm (deleted)" is what the link of a process says whose file was replaced. */
static void drop_deleted(char *target, int process)
{
    static const char mark[] = " (deleted)";
    size_t length = strlen(target), tail = sizeof mark - 1;
    struct stat status;

    if (length > tail && strcmp(target + length - tail, mark) == 0 &&
        fstatat(process, "exe", &status, 0) == 0 && status.st_nlink == 0)
        target[length - tail] = '\0';
}

static int check_executable(int process, pid_t pid, const char *path, struct qvm_error *err)
{
    char target[4096];
    ssize_t length = readlinkat(process, "exe", target, sizeof target - 1);

    if (length < 0)
        return fail_look(path, pid, errno, err);
    target[length] = '\0';
    drop_deleted(target, process);
    return vm_server_check_name(target, pid, path, err);
}

/* The rest of a line of a process's status file that begins with `key`: 1, 0 if there is no
 * such line, -1 with errno. */
static int read_status(int process, const char *key, char *value, size_t size)
{
    int fd = retry_openat(process, "status", O_RDONLY | O_CLOEXEC), found = 0, number;
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (!file) {
        number = errno;
        if (fd >= 0)
            close(fd);
        errno = number;
        return -1;
    }
    while (!found && fgets(value, (int)size, file)) {
        found = strncmp(value, key, strlen(key)) == 0;
        if (found)
            memmove(value, value + strlen(key), strlen(value) - strlen(key) + 1);
    }
    number = errno;
    if (ferror(file))
        found = -1;
    fclose(file);
    errno = number;
    return found;
}

static int send_through(int process, pid_t pid, int number, const char *path,
                        struct qvm_error *err)
{
    if (syscall(SYS_pidfd_send_signal, process, number, NULL, 0) == 0)
        return 0;
    if (errno == EPERM)
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: process %ld may not be signalled: run as its user or as root",
                        path, (long)pid);
    return errno == ESRCH ? fail_ended(path, pid, err) : qvm_fail_errno(err, errno, path);
}

static int check_catches(int process, pid_t pid, int number, const char *path,
                         struct qvm_error *err)
{
    char mask[64];
    int found = read_status(process, "SigCgt:", mask, sizeof mask);

    if (found < 0 && is_of_ended(errno))
        return fail_ended(path, pid, err);
    if (found < 0)
        return qvm_fail_errno(err, errno, path);
    if (found > 0 && (strtoull(mask, NULL, 16) >> (number - 1) & 1))
        return 0;
    /* The mask of a process that ends while its status is read is empty. */
    if (send_through(process, pid, 0, path, err) != 0 && err->code == QVM_GONE)
        return -1;
    return qvm_fail(
        err, QVM_NOT_QVM,
        "%s: process %ld does not catch signal %d, which would end it: not sent", path,
        (long)pid, number);
}

static int fail_proc(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "%s: /proc is not that of this process namespace: who serves it cannot "
                    "be verified",
                    path);
}

/* Process ids are counted in namespaces. NSpid has one number where /proc counts as we do,
 * and more where it is the /proc of a namespace around ours: then its numbers are not ours.
 * A kernel without namespaces has no such line. */
static int check_proc(const char *path, struct qvm_error *err)
{
    char ids[128], *end;
    int self = retry_open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int found, number;

    if (self < 0)
        return errno == ENOENT ? fail_proc(path, err) : qvm_fail_errno(err, errno, path);
    found = read_status(self, "NSpid:", ids, sizeof ids);
    number = errno;
    close(self);
    if (found < 0)
        return qvm_fail_errno(err, number, path);
    if (found == 0 || (strtol(ids, &end, 10) == (long)getpid() && *end == '\n'))
        return 0;
    return fail_proc(path, err);
}

/* A descriptor of the process's directory in /proc: it stays that of this process, whoever
 * is given its id later, and is a pidfd for pidfd_send_signal(). */
static int open_process(int env, pid_t pid, const char *path, struct qvm_error *err)
{
    char name[64];
    pid_t holder = 0;
    int process;

    if (check_proc(path, err) != 0)
        return -1;
    snprintf(name, sizeof name, "/proc/%ld", (long)pid);
    process = retry_open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process >= 0)
        return process;
    if (!is_of_ended(errno))
        return qvm_fail_errno(err, errno, path);
    if (lock_holder(env, path, &holder, err) == 0 && holder == pid)
        return qvm_fail(err, QVM_PERMISSION, "%s: process %ld is hidden: run as root", path,
                        (long)pid);
    return fail_ended(path, pid, err);
}

/* `process` refers to whichever process had the id `pid` when it was opened, and to no
 * other later, whoever is given the id. If the lock's holder has that id now, and `process`
 * still answers afterwards, then it has lived from before this question until after it, and
 * had the id to itself: either it took the lock, or the one that did is dead and left the
 * lock to others that share its descriptors. In the second case `process` does not have the
 * env open. (A process that opens another VM's env by itself, is called qvm and catches the
 * signal can get only itself signalled.) Number 0: only ask. */
static int serve_through(int process, int env, pid_t pid, int number, const char *path,
                         struct qvm_error *err)
{
    pid_t holder = 0;

    if (lock_holder(env, path, &holder, err) != 0)
        return -1;
    if (holder != pid)
        return fail_ended(path, pid, err);
    if (check_has_open(process, env, pid, path, err) != 0 ||
        check_executable(process, pid, path, err) != 0)
        return -1;
    if (number == 0)
        return 0;
    if (check_catches(process, pid, number, path, err) != 0)
        return -1;
    return send_through(process, pid, number, path, err);
}

static int try_server(const char *path, int number, int64_t deadline, pid_t *pid,
                      bool *changed, struct qvm_error *err)
{
    int env = open_served(path, deadline, pid, err), process, status = -1;

    *changed = false;
    if (env < 0)
        return -1;
    process = open_process(env, *pid, path, err);
    if (process >= 0) {
        status = serve_through(process, env, *pid, number, path, err);
        close(process);
    }
    *changed = status != 0 && err->code == QVM_GONE && is_replaced(env, path);
    close(env);
    return status;
}

/* Again as long as the env was replaced between two questions. */
static int ask_server(const char *path, int number, int64_t deadline, pid_t *pid,
                      struct qvm_error *err)
{
    bool changed;
    int status;

    do
        status = try_server(path, number, deadline, pid, &changed, err);
    while (changed && os_clock_ms() < deadline);
    return status;
}

int vm_server_find(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err)
{
    return ask_server(path, 0, deadline, pid, err);
}

int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct qvm_error *err)
{
    pid_t pid = 0;

    return ask_server(path, what == VM_REQUEST_STATUS ? SIGUSR1 : SIGUSR2, deadline, &pid,
                      err);
}

#else
typedef int vm_server_is_another; /* a file must hold a declaration */
#endif
