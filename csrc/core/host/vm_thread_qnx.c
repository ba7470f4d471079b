/* A thread of a qvm on QNX. Written from QNX's public documentation and compiled against
 * declarations made from it; never run on a QNX system.
 *
 * Documented (Programmer's Guide, "Processes", 7.0 to 8.0), and relied on:
 * - devctl(DCMD_PROC_TIDSTATUS) on /proc/PID/ctl, opened for reading, fills a procfs_status
 *   for the thread in its member tid. If there is no such thread, it describes the one with
 *   the next higher id and changes tid; if there is none of those, it returns ESRCH. The
 *   process manager answers, not the qvm.
 * - sutime is the time in user and kernel mode, in nanoseconds; priority, the one that the
 *   thread has now, is 1 to 255, where a larger number is more urgent; state is one of
 *   <sys/states.h>.
 *
 * Seen in public programs: __getset_thread_name(pid, tid, NULL, -1, buffer, size) gives a
 * thread's name, and programs declare it themselves.
 *
 * The connection to the env is asked before and after: if the qvm dies in between and its
 * id is reused, the second answer is that the server is dead. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "host/vm_server_qnx.h"
#    include "host/vm_thread.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <devctl.h>
#    include <errno.h>
#    include <fcntl.h>
#    include <inttypes.h>
#    include <stdio.h>
#    include <string.h>
#    include <sys/procfs.h>
#    include <sys/states.h>
#    include <unistd.h>

extern int __getset_thread_name(pid_t pid, pthread_t tid, const char *new_name,
                                int new_size, char *name, int size);

/* As pidin(1) names them, in lower case. */
static const struct {
    int number;
    const char *name;
} states[] = {
    {STATE_DEAD, "dead"},
    {STATE_RUNNING, "running"},
    {STATE_READY, "ready"},
    {STATE_STOPPED, "stopped"},
    {STATE_SEND, "send"},
    {STATE_RECEIVE, "receive"},
    {STATE_REPLY, "reply"},
    {STATE_STACK, "stack"},
    {STATE_WAITTHREAD, "waitthread"},
    {STATE_WAITPAGE, "waitpage"},
    {STATE_SIGSUSPEND, "sigsuspend"},
    {STATE_SIGWAITINFO, "sigwaitinfo"},
    {STATE_NANOSLEEP, "nanosleep"},
    {STATE_MUTEX, "mutex"},
    {STATE_CONDVAR, "condvar"},
    {STATE_JOIN, "join"},
    {STATE_INTR, "intr"},
    {STATE_SEM, "sem"},
};

/* A state that is not in the table is shown by its number. */
static void set_state(struct vm_thread *thread, int number)
{
    snprintf(thread->state, sizeof thread->state, "state %d", number);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].number == number)
            snprintf(thread->state, sizeof thread->state, "%s", states[i].name);
    }
}

static int fail_thread(const char *path, pid_t pid, int64_t tid, struct qvm_error *err)
{
    return qvm_fail(err, QVM_NOT_FOUND, "%s: process %ld has no thread %" PRId64, path,
                    (long)pid, tid);
}

/* devctl() returns an error number. */
static int read_status(const char *path, pid_t pid, int64_t tid, procfs_status *status,
                       struct qvm_error *err)
{
    char file[64];
    int fd, number;

    snprintf(file, sizeof file, "/proc/%ld/ctl", (long)pid);
    fd = retry_open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return vm_server_fail_ended(path, pid, err);
    if (fd < 0)
        return qvm_fail_system(err, errno, "%s: /proc/%ld/ctl", path, (long)pid);
    status->tid = (pthread_t)tid;
    number = devctl(fd, DCMD_PROC_TIDSTATUS, status, sizeof *status, NULL);
    os_close(fd);
    if (number == ESRCH || (number == EOK && (int64_t)status->tid != tid))
        return fail_thread(path, pid, tid, err);
    if (number != EOK)
        return qvm_fail_system(err, number, "%s: /proc/%ld/ctl", path, (long)pid);
    return 0;
}

static int read_thread(const char *path, pid_t pid, int64_t tid, struct vm_thread *thread,
                       struct qvm_error *err)
{
    procfs_status status;

    memset(&status, 0, sizeof status);
    if (read_status(path, pid, tid, &status, err) != 0)
        return -1;
    thread->cpu_time = status.sutime;
    thread->priority = status.priority;
    set_state(thread, status.state);
    memset(thread->name, 0, sizeof thread->name);
    if (__getset_thread_name(pid, (pthread_t)tid, NULL, -1, thread->name,
                             (int)sizeof thread->name) != EOK)
        thread->name[0] = '\0';
    thread->name[sizeof thread->name - 1] = '\0';
    return 0;
}

int vm_thread_read(const char *path, int64_t tid, int64_t deadline,
                   struct vm_thread *thread, struct qvm_error *err)
{
    pid_t pid = 0;
    int fd, status;

    fd = vm_server_open_verified(path, deadline, &pid, err);
    if (fd < 0)
        return -1;
    /* pthread_t has 32 bits there. */
    status = tid >= 1 && tid <= INT32_MAX ? read_thread(path, pid, tid, thread, err)
                                          : fail_thread(path, pid, tid, err);
    if (status == 0)
        status = vm_server_verify_again(fd, pid, path, err);
    close(fd);
    return status;
}

#else
typedef int vm_thread_qnx_is_unused; /* a file must not be empty */
#endif
