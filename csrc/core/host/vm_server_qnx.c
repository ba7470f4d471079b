/* The QNX host. Written from QNX's public documentation and compiled against declarations
 * made from it; never run on a QNX system.
 *
 * Documented, and relied on:
 * - A descriptor is a connection id, and ConnectServerInfo() reports the process at its
 *   other end. So opening the env and asking who serves it finds the qvm without a scan.
 *   The call may return the next higher connection instead: its result is compared with the
 *   descriptor. A server that has died is marked by _NTO_COF_DEAD.
 * - /proc/PID/exefile has the path of the executable as text.
 * - A client whose server does not answer blocks in send or reply state, and TimerTimeout()
 *   bounds that for the next kernel call. A server whose channel takes unblock pulses is
 *   told of the timeout and has to answer before the client goes on, so one that is too
 *   stuck for that holds its client all the same.
 *
 * A request opens the env, asks for its server, checks the executable, asks for the server
 * a second time over the same connection, and sends the signal. By the documentation:
 * - If the qvm dies before the second question, that reports a dead server. So it does not
 *   matter whose executable was read if the process id was reused in between.
 * - If it dies between the second question and kill(), and its id is reused in that moment,
 *   the signal goes to another process. No call is known that signals by connection.
 *
 * Unverified:
 * - open() may make more than one kernel call; only the first is bounded then.
 * - Whether the receiver catches the signal is not checked: no way to ask is known here.
 *
 * docs/qnx.md states what follows for users. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "host/vm_server_qnx.h"
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

/* Bounds the next kernel call by the time that is left, or by 1 ns if none is. The calls
 * below follow at once: any other kernel call in between would use up the bound. */
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

/* A failed open or read of the env. */
static int fail_server(struct qvm_error *err, int number, const char *path)
{
    if (number == ETIMEDOUT || number == EINTR || number == EAGAIN)
        return vm_server_fail_timeout(path, err);
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
        ssize_t length;

        if (bound_next_call(deadline, path, err) != 0)
            return -1;
        length = read(fd, buffer, size);
        if (length >= 0)
            return length;
        number = errno;
    } while ((number == EINTR || number == EAGAIN) && os_clock_ms() < deadline);
    return fail_server(err, number, path);
}

/* The process at the other end of a connection. Node 0 is this machine. To kill(), an id of
 * 0 or below means many processes, so it is refused here. */
static int server_of(int fd, const char *path, pid_t *pid, struct qvm_error *err)
{
    struct _server_info info;
    int found = ConnectServerInfo(0, fd, &info);

    if (found < 0)
        return qvm_fail_errno(err, errno, path);
    if (found != fd || (info.flags & _NTO_COF_DEAD) != 0)
        return vm_server_fail_unserved(path, err);
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
        return vm_server_fail_ended(path, pid, err);
    return fd >= 0 ? fd : fail_exefile(err, errno, path, pid);
}

/* Reads up to the end of the file or `size` bytes; returns the length, or -1 with errno. */
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

/* A path that fills the buffer may be cut, and its end is what counts: it is refused. A
 * line end after the path is not part of it. */
static int check_executable(pid_t pid, const char *path, struct qvm_error *err)
{
    char target[4096];
    int fd = open_exefile(pid, path, err);
    ssize_t length;

    if (fd < 0)
        return -1;
    length = read_all(fd, target, sizeof target);
    os_close(fd);
    if (length < 0)
        return fail_exefile(err, errno, path, pid);
    if (length == sizeof target)
        return qvm_fail(err, QVM_NOT_QVM,
                        "%s: served by process %ld, whose executable has too long a path",
                        path, (long)pid);
    target[length] = '\0';
    target[strcspn(target, "\n")] = '\0';
    return vm_server_check_name(target, pid, path, err);
}

int vm_server_open_verified(const char *path, int64_t deadline, pid_t *pid,
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
    int fd = vm_server_open_verified(path, deadline, pid, err);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

int vm_server_verify_again(int fd, pid_t pid, const char *path, struct qvm_error *err)
{
    pid_t server = 0;

    if (server_of(fd, path, &server, err) != 0)
        return -1;
    if (server != pid)
        return qvm_fail(err, QVM_GONE, "%s: process %ld serves it no longer", path,
                        (long)pid);
    return 0;
}

/* The second question to the same connection, then the signal: see the top of this file. */
static int send_signal(int fd, pid_t pid, int number, const char *path,
                       struct vm_gate *gate, struct qvm_error *err)
{
    int status;

    if (vm_server_verify_again(fd, pid, path, err) != 0 || !vm_gate_enter(gate, path, err))
        return -1;
    status = kill(pid, number);
    vm_gate_leave(gate, status == 0 ? pid : 0);
    if (status == 0)
        return 0;
    return errno == ESRCH ? vm_server_fail_ended(path, pid, err)
                          : qvm_fail_errno(err, errno, path);
}

int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct vm_gate *gate, struct qvm_error *err)
{
    pid_t pid = 0;
    int fd = vm_server_open_verified(path, deadline, &pid, err), status;

    if (fd < 0)
        return -1;
    status = send_signal(fd, pid, vm_server_signal_number(what), path, gate, err);
    close(fd);
    return status;
}

#else
typedef int vm_server_qnx_is_unused; /* a file must not be empty */
#endif
