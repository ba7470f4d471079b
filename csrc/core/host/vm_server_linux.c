/* Linux in place of a QNX host, for the simulator. A simulated VM's process holds a POSIX
 * record lock on its env for its whole life, and F_GETLK on the opened file reports that
 * process, as ConnectServerInfo() does on QNX.
 *
 * The signals' default action is to end the receiver, so they must not reach a wrong
 * process. A request takes these steps:
 *
 * 1. open the env and ask who holds its lock: process P;
 * 2. open /proc/P, and refer to the process only by this descriptor from now on;
 * 3. ask for the lock's holder again: still P;
 * 4. check that the process has the env open, by device and inode;
 * 5. check that its executable is called qvm;
 * 6. check that it catches the signal;
 * 7. send the signal through the descriptor.
 *
 * What can happen in between, and what prevents a wrong signal then:
 *
 * - P ends after step 2, and its id is reused. The descriptor stays bound to P, so all
 *   later steps fail.
 * - P ends between 1 and 2, and the descriptor is that of another process. The lock usually
 *   ends with P: step 3 finds no holder, or another one.
 * - The same, but the lock outlives P. It belongs to a table of descriptors, which clone()
 *   can share, and lasts as long as the table; F_GETLK still reports P's id. Step 4 fails:
 *   the new process does not have the env open.
 * - P executes another program, which keeps the lock if the descriptor is not closed on
 *   exec. Step 5 sees the new program, and step 6 that exec reset the handlers.
 * - The VM replaces its env. The file from step 1 then has no holder, but the one that now
 *   has the name does: the request starts again.
 *
 * A process that opens another VM's env itself, is called qvm and catches the signal passes
 * steps 4 to 6, but all it gains is to be signalled itself. A P that executes another
 * program between 6 and 7 is not detected. */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/process_linux.h"
#    include "host/vm_server.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <stdbool.h>
#    include <sys/stat.h>
#    include <unistd.h>

/* The env --------------------------------------------------------------------------- */

/* A file system that a process serves (FUSE) fails so once that process has died: a request
 * that waited with ECONNABORTED, later ones with ENOTCONN. */
static bool is_dead(int number)
{
    return number == ENOTCONN || number == ECONNABORTED;
}

static int fail(struct qvm_error *err, int number, const char *path)
{
    return is_dead(number) ? vm_server_fail_unserved(path, err)
                           : qvm_fail_errno(err, number, path);
}

static bool may_be_env(mode_t mode)
{
    return S_ISREG(mode) || S_ISFIFO(mode);
}

/* What is neither a regular file nor a FIFO is not opened, since opening a device can have
 * effects. The descriptor is checked as well, since the name may have been exchanged.
 * O_NONBLOCK: opening a FIFO does not wait for a writer, so no deadline is needed. A file
 * that a process serves with FUSE ignores it: all of this may block as long as that process
 * likes, so only the thread of a query (vm_query.c) opens and reads an env. */
int vm_server_open(const char *path, int64_t deadline, struct qvm_error *err)
{
    struct stat status;
    int fd;

    (void)deadline;
    if (stat(path, &status) != 0)
        return fail(err, errno, path);
    if (!may_be_env(status.st_mode))
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a file", path);
    fd = retry_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno, path);
    if (fstat(fd, &status) != 0)
        fail(err, errno, path);
    else if (!may_be_env(status.st_mode))
        qvm_fail(err, QVM_UNSUPPORTED, "%s: not a file", path);
    else
        return fd;
    close(fd);
    return -1;
}

/* EAGAIN comes from a FIFO whose writer has written nothing yet. */
ssize_t vm_server_read(int fd, const char *path, void *buffer, size_t size,
                       int64_t deadline, struct qvm_error *err)
{
    for (;;) {
        ssize_t length = read(fd, buffer, size);
        int64_t left = deadline - os_clock_ms();

        if (length >= 0)
            return length;
        if (errno != EAGAIN && errno != EINTR)
            return fail(err, errno, path);
        if (left <= 0)
            return vm_server_fail_timeout(path, err);
        if (errno == EAGAIN)
            os_wait_readable(fd, left);
    }
}

/* Who serves it ----------------------------------------------------------------------- */

/* The process that holds the env's lock, 0 if there is none. F_GETLK reports ids that this
 * process's namespace does not have as 0 or a negative number. */
static int lock_holder(int env, const char *path, pid_t *pid, struct qvm_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(env, F_GETLK, &lock) != 0)
        return qvm_fail_errno(err, errno, path);
    *pid = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
    if (lock.l_type != F_UNLCK && lock.l_pid <= 0)
        return qvm_fail(err, QVM_NOT_QVM,
                        "%s: served from another machine or process namespace", path);
    return 0;
}

/* True if the path now names another file than the opened one, or none. The status of a
 * file whose server has died cannot be read: then it is another one if it has a status. */
static bool is_replaced(int env, const char *path)
{
    struct stat opened, named;

    if (stat(path, &named) != 0)
        return errno == ENOENT;
    if (fstat(env, &opened) != 0)
        return is_dead(errno);
    return opened.st_ino != named.st_ino || opened.st_dev != named.st_dev;
}

/* Step 1. Opens the env that has a lock now, trying again if it was replaced. Returns its
 * descriptor. */
static int open_served(const char *path, int64_t deadline, pid_t *pid,
                       struct qvm_error *err)
{
    for (;;) {
        int env = vm_server_open(path, deadline, err);

        if (env < 0)
            return -1;
        if (lock_holder(env, path, pid, err) == 0) {
            if (*pid != 0)
                return env;
            if (is_replaced(env, path) && os_clock_ms() < deadline) {
                close(env);
                continue;
            }
            vm_server_fail_unserved(path, err);
        }
        close(env);
        return -1;
    }
}

/* Step 2. With hidepid, /proc has no directory for the processes of other users: one that
 * still holds the lock is hidden rather than gone. */
static int open_process(struct process *process, int env, pid_t pid, const char *path,
                        struct qvm_error *err)
{
    pid_t holder = 0;

    if (process_open(process, pid, path, err) == 0)
        return 0;
    if (err->code != QVM_GONE)
        return -1;
    if (lock_holder(env, path, &holder, err) == 0 && holder == pid)
        return qvm_fail(err, QVM_PERMISSION, "%s: process %ld is hidden: run as root", path,
                        (long)pid);
    return vm_server_fail_ended(path, pid, err);
}

/* Steps 3 to 5. */
static int verify_server(const struct process *process, int env, struct qvm_error *err)
{
    struct stat file;
    pid_t holder = 0;

    if (lock_holder(env, process->path, &holder, err) != 0)
        return -1;
    if (holder != process->pid)
        return vm_server_fail_ended(process->path, process->pid, err);
    if (fstat(env, &file) != 0)
        return fail(err, errno, process->path);
    if (process_check_open_file(process, &file, err) != 0)
        return -1;
    return process_check_executable(process, err);
}

/* All steps up to 5 and `visit`, once. `replaced` says that the process is gone, but the
 * env was replaced, so another one may serve the VM. */
static int try_server(const char *path, int64_t deadline, process_visitor *visit,
                      void *context, pid_t *pid, bool *replaced, struct qvm_error *err)
{
    int env = open_served(path, deadline, pid, err), status = -1;
    struct process process;

    *replaced = false;
    if (env < 0)
        return -1;
    if (open_process(&process, env, *pid, path, err) == 0) {
        status = verify_server(&process, env, err);
        if (status == 0 && visit)
            status = visit(&process, context, err);
        process_close(&process);
    }
    *replaced = status != 0 && err->code == QVM_GONE && is_replaced(env, path);
    close(env);
    return status;
}

int process_visit_server(const char *path, int64_t deadline, process_visitor *visit,
                         void *context, pid_t *pid, struct qvm_error *err)
{
    bool replaced;
    int status;

    do
        status = try_server(path, deadline, visit, context, pid, &replaced, err);
    while (replaced && os_clock_ms() < deadline);
    return status;
}

int vm_server_find(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err)
{
    return process_visit_server(path, deadline, NULL, NULL, pid, err);
}

/* Steps 6 and 7. */
struct request {
    int number;
    struct vm_gate *gate;
};

static int send_signal(const struct process *process, void *context, struct qvm_error *err)
{
    const struct request *request = context;
    int status;

    if (process_check_catches(process, request->number, err) != 0 ||
        !vm_gate_enter(request->gate, process->path, err))
        return -1;
    status = process_signal(process, request->number, err);
    vm_gate_leave(request->gate, status == 0 ? process->pid : 0);
    return status;
}

int vm_server_request(const char *path, enum vm_request what, int64_t deadline,
                      struct vm_gate *gate, struct qvm_error *err)
{
    struct request request = {.number = vm_server_signal_number(what), .gate = gate};
    pid_t pid = 0;

    return process_visit_server(path, deadline, send_signal, &request, &pid, err);
}

#else
typedef int vm_server_linux_is_unused; /* a file must not be empty */
#endif
