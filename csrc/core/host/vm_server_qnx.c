/* The QNX host. Written from QNX's public documentation and compiled against declarations
 * made from it; never run on a QNX system.
 *
 * A descriptor is a connection to the process that serves the file, and ConnectServerInfo()
 * names that process, so the qvm of a VM is found without a scan. A client whose server is
 * stuck blocks in send or reply state: TimerTimeout() bounds that for the next kernel call.
 * open() may need more than one, and only the first is then bounded; and a server that
 * takes unblock pulses is told of the timeout and must answer it. docs/qnx.md states what
 * follows. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "host/vm_server.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <signal.h>
#    include <stdio.h>
#    include <string.h>
#    include <sys/neutrino.h>
#    include <sys/stat.h>
#    include <time.h>
#    include <unistd.h>

static int bound_next_call(int64_t deadline, const char *path, struct qvm_error *err)
{
    int64_t left = deadline - os_clock_ms();
    uint64_t nanoseconds = left > 0 ? (uint64_t)left * 1000000 : 1;
    struct sigevent unblock;

    memset(&unblock, 0, sizeof unblock);
    SIGEV_UNBLOCK_INIT(&unblock);
    if (TimerTimeout(CLOCK_MONOTONIC, _NTO_TIMEOUT_SEND | _NTO_TIMEOUT_REPLY, &unblock,
                     &nanoseconds, NULL) == -1)
        return qvm_fail_errno(err, errno, path);
    return 0;
}

static int fail_server(struct qvm_error *err, int number, const char *path)
{
    if (number == ETIMEDOUT || number == EINTR || number == EAGAIN)
        return qvm_fail(err, QVM_TIMEOUT, "%s: no answer: its qvm process may be stuck",
                        path);
    return qvm_fail_errno(err, number, path);
}

int vm_server_open(const char *path, int64_t deadline, struct qvm_error *err)
{
    int number;

    do {
        int fd;

        if (bound_next_call(deadline, path, err) != 0)
            return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        number = errno;
    } while (number == EINTR && os_clock_ms() < deadline);
    return fail_server(err, number, path);
}

ssize_t vm_server_read(int fd, const char *path, void *buffer, size_t size,
                       int64_t deadline, struct qvm_error *err)
{
    int number;

    do {
        ssize_t got;

        if (bound_next_call(deadline, path, err) != 0)
            return -1;
        got = read(fd, buffer, size);
        if (got >= 0)
            return got;
        number = errno;
    } while ((number == EINTR || number == EAGAIN) && os_clock_ms() < deadline);
    return fail_server(err, number, path);
}

/* kill() takes 0 and negative ids for many processes, so such an id is none. Node 0 is this
 * one. */
static int server_of(int fd, const char *path, pid_t *pid, struct qvm_error *err)
{
    struct _server_info info;
    int found = ConnectServerInfo(0, fd, &info);

    if (found < 0)
        return qvm_fail_errno(err, errno, path);
    if (found != fd || (info.flags & _NTO_COF_DEAD) != 0)
        return qvm_fail(err, QVM_GONE, "%s: no process serves it: the VM is gone", path);
    if (info.nd != 0)
        return qvm_fail(err, QVM_NOT_QVM, "%s: served from another node", path);
    if (info.pid <= 0)
        return qvm_fail(err, QVM_NOT_QVM, "%s: served by no process that has an id", path);
    *pid = info.pid;
    return 0;
}

#    define EXEFILE "/proc/%ld/exefile"

static int fail_exefile(struct qvm_error *err, int number, const char *path, pid_t pid)
{
    return qvm_fail_system(err, number, "%s: " EXEFILE, path, (long)pid);
}

static int open_exefile(pid_t pid, const char *path, struct qvm_error *err)
{
    char file[64];
    int fd;

    snprintf(file, sizeof file, EXEFILE, (long)pid);
    fd = retry_open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return qvm_fail(err, QVM_GONE, "%s: process %ld is gone", path, (long)pid);
    return fd >= 0 ? fd : fail_exefile(err, errno, path, pid);
}

/* Reads to the end; -1 with errno, or a length: size if there is more. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t length = 0;
    ssize_t got;

    do {
        got = read(fd, buffer + length, size - length);
        length += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && length < size) || (got < 0 && errno == EINTR));
    return got < 0 ? -1 : (ssize_t)length;
}

/* /proc/PID/exefile holds the path of the executable as text. Of a path that is cut nobody
 * knows the name. */
static int check_executable(pid_t pid, const char *path, struct qvm_error *err)
{
    char target[4096];
    int fd = open_exefile(pid, path, err), number;
    ssize_t length;

    if (fd < 0)
        return -1;
    length = read_all(fd, target, sizeof target);
    number = errno;
    close(fd);
    if (length < 0)
        return fail_exefile(err, number, path, pid);
    if (length == sizeof target)
        return qvm_fail(err, QVM_NOT_QVM,
                        "%s: served by process %ld, whose executable has too long a path",
                        path, (long)pid);
    target[length] = '\0';
    target[strcspn(target, "\n")] = '\0';
    return vm_server_check_name(target, pid, path, err);
}

/* The server of the env, verified, with the connection still open. */
static int open_server(const char *path, int64_t deadline, pid_t *pid,
                       struct qvm_error *err)
{
    int fd = vm_server_open(path, deadline, err);

    if (fd < 0)
        return -1;
    if (server_of(fd, path, pid, err) == 0 && check_executable(*pid, path, err) == 0)
        return fd;
    close(fd);
    return -1;
}

int vm_server_find(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err)
{
    int fd = open_server(path, deadline, pid, err);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* The connection stays open until the signal is sent, and is asked a second time right
 * before: a server that has died in between is reported by _NTO_COF_DEAD. What remains: a
 * qvm that ends between the last question and kill(), whose process id is given away in
 * that moment. */
int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct qvm_error *err)
{
    int number = what == VM_REQUEST_STATUS ? SIGUSR1 : SIGUSR2;
    pid_t pid = 0, second = 0;
    int fd = open_server(path, deadline, &pid, err), status;

    if (fd < 0)
        return -1;
    status = server_of(fd, path, &second, err);
    if (status == 0 && second != pid)
        status =
            qvm_fail(err, QVM_GONE, "%s: process %ld serves it no longer", path, (long)pid);
    if (status == 0 && kill(pid, number) != 0)
        status = errno == ESRCH ? qvm_fail(err, QVM_GONE, "%s: its process has ended", path)
                                : qvm_fail_errno(err, errno, path);
    close(fd);
    return status;
}

#else
typedef int vm_server_is_another; /* a file must hold a declaration */
#endif
