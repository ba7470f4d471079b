/* The fake: a small world of processes and connections in the global `fake`, which tests
 * read and change. Kernel calls arrive here through the macros of fake_names.h. Time is
 * real. A stuck server returns ETIMEDOUT at once if the call is bounded, and EDEADLK,
 * which no QNX call here returns, if it would block forever. */
#define _QNX_SOURCE

#include "fake.h"

#include <devctl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>
#include <sys/states.h>
#include <sys/syspage.h>
#include <time.h>

#define UNBLOCK 7 /* of SIGEV_UNBLOCK_INIT in these declarations */

struct fake fake; /* the world; see fake.h */

static struct syspage_entry page = {.num_cpu = 4};
struct syspage_entry *_syspage_ptr = &page;

int fake_open(const char *path, int flags, ...);
ssize_t fake_read(int fd, void *buffer, size_t size);
int fake_close(int fd);
int fake_kill(pid_t pid, int number);
int fake_clock_gettime(clockid_t id, struct timespec *time);
int __getset_thread_name(pid_t pid, pthread_t tid, const char *new_name, int new_size,
                         char *name, int size);

void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake.processes[0] = (struct fake_process){
        .pid = 4099, .exefile = "/proc/boot/qvm", .alive = true, .threads = 3};
    fake.processes[1] =
        (struct fake_process){.pid = 8201, .exefile = "/usr/bin/innocent", .alive = true};
    fake.server = &fake.processes[0];
    fake.env = "{}\n";
}

int fake_connect(struct fake_process *server)
{
    for (int i = 0; i < FAKE_CONNECTIONS; i++) {
        if (!fake.connections[i].open) {
            fake.connections[i] = (struct fake_connection){.open = true, .server = server};
            return FAKE_FIRST_ID + i;
        }
    }
    errno = EMFILE;
    return -1;
}

int fake_open_count(void)
{
    int count = 0;

    for (int i = 0; i < FAKE_CONNECTIONS; i++)
        count += fake.connections[i].open;
    return count;
}

/* The connection of a descriptor; NULL and EBADF if it is not open. */
static struct fake_connection *connection_of(int fd)
{
    int index = fd - FAKE_FIRST_ID;

    if (index >= 0 && index < FAKE_CONNECTIONS && fake.connections[index].open)
        return &fake.connections[index];
    errno = EBADF;
    return NULL;
}

static struct fake_process *living(pid_t pid)
{
    for (int i = 0; i < FAKE_PROCESSES; i++) {
        if (fake.processes[i].alive && fake.processes[i].pid == pid)
            return &fake.processes[i];
    }
    return NULL;
}

/* The start of every call: lets the test change the world, and fails if the test requires
 * it. */
static bool fails(enum fake_call call)
{
    if (fake.before)
        fake.before(call, ++fake.counts[call]);
    if (fake.failures[call].times == 0)
        return false;
    fake.failures[call].times--;
    errno = fake.failures[call].number;
    return true;
}

/* A call that sends a message to the env's server and waits for the reply. It consumes
 * the timeout. */
static bool server_fails(struct fake_process *server)
{
    bool armed = fake.armed;

    fake.armed = false;
    fake.unbounded += !armed;
    if (server->stuck)
        errno = armed ? ETIMEDOUT : EDEADLK;
    else if (!server->alive)
        errno = EBADF;
    return server->stuck || !server->alive;
}

int TimerTimeout(clockid_t id, int flags, const struct sigevent *notify,
                 const uint64_t *ntime, uint64_t *otime)
{
    (void)id;
    (void)otime;
    fake.armed = (flags & _NTO_TIMEOUT_SEND) && (flags & _NTO_TIMEOUT_REPLY) && ntime &&
                 notify && notify->sigev_notify == UNBLOCK;
    fake.bound = ntime ? *ntime : 0;
    return 0;
}

/* /proc/PID/exefile is served by the process manager, which is never stuck. */
static int open_exefile(pid_t pid)
{
    struct fake_process *process;
    int fd;

    fake.armed = false;
    if (fails(FAKE_OPEN_EXEFILE))
        return -1;
    process = living(pid);
    if (!process) {
        errno = ENOENT;
        return -1;
    }
    fd = fake_connect(NULL);
    fake.connections[fd - FAKE_FIRST_ID].exefile = true;
    fake.connections[fd - FAKE_FIRST_ID].text = process->exefile;
    return fd;
}

static int open_ctl(pid_t pid)
{
    int fd;

    fake.armed = false;
    if (fails(FAKE_OPEN_CTL))
        return -1;
    if (!living(pid)) {
        errno = ENOENT;
        return -1;
    }
    fd = fake_connect(NULL);
    fake.connections[fd - FAKE_FIRST_ID].ctl = pid;
    return fd;
}

/* Documented: a thread that does not exist is replaced by the next higher one; without one,
 * ESRCH. */
int devctl(int fd, int command, void *data, size_t size, int *info)
{
    struct fake_connection *connection = connection_of(fd);
    struct fake_process *process = connection ? living(connection->ctl) : NULL;
    procfs_status *status = data;
    pthread_t tid;

    (void)info;
    if (fails(FAKE_DEVCTL))
        return errno;
    if (!connection || command != DCMD_PROC_TIDSTATUS || size != sizeof *status)
        return EBADF;
    if (!process)
        return ESRCH;
    tid = status->tid % 2 ? status->tid : status->tid + 1;
    if (tid > 2 * (pthread_t)process->threads - 1)
        return ESRCH;
    *status = (procfs_status){.pid = process->pid,
                              .tid = tid,
                              .priority = (uint8_t)FAKE_PRIORITY(tid),
                              .state = tid == 5 ? 200 : STATE_READY,
                              .sutime = FAKE_CPU_TIME(tid)};
    return EOK;
}

int __getset_thread_name(pid_t pid, pthread_t tid, const char *new_name, int new_size,
                         char *name, int size)
{
    if (new_name || new_size != -1 || !living(pid))
        return ESRCH;
    snprintf(name, (size_t)size, "virtual cpu %d", (int)tid);
    return EOK;
}

int fake_open(const char *path, int flags, ...)
{
    long pid;
    int fd;

    (void)flags;
    if (sscanf(path, "/proc/%ld/", &pid) == 1)
        return strstr(path, "/ctl") ? open_ctl((pid_t)pid) : open_exefile((pid_t)pid);
    if (fails(FAKE_OPEN_ENV))
        return -1;
    if (!fake.env) {
        errno = ENOENT;
        return -1;
    }
    if (server_fails(fake.server))
        return -1;
    fd = fake_connect(fake.server);
    fake.connections[fd - FAKE_FIRST_ID].text = fake.env;
    return fd;
}

ssize_t fake_read(int fd, void *buffer, size_t size)
{
    struct fake_connection *connection = connection_of(fd);
    size_t length;

    if (!connection || fails(connection->exefile ? FAKE_READ_EXEFILE : FAKE_READ_ENV))
        return -1;
    if (!connection->exefile && server_fails(connection->server))
        return -1;
    length = strlen(connection->text);
    length = length < size ? length : size;
    memcpy(buffer, connection->text, length);
    connection->text += length;
    return (ssize_t)length;
}

int fake_close(int fd)
{
    struct fake_connection *connection = connection_of(fd);

    if (!connection)
        return -1;
    connection->open = false;
    return 0;
}

/* Also a kernel call: it consumes a timeout that was meant for the next call. */
int fake_clock_gettime(clockid_t id, struct timespec *time)
{
    fake.armed = false;
    return clock_gettime(id, time);
}

/* Documented: if there is no such connection, the next higher one is returned. */
int ConnectServerInfo(pid_t pid, int coid, struct _server_info *info)
{
    (void)pid;
    if (fails(FAKE_ASK))
        return -1;
    for (int id = coid; id < FAKE_FIRST_ID + FAKE_CONNECTIONS; id++) {
        struct fake_connection *connection = connection_of(id);

        if (!connection || !connection->server)
            continue;
        *info = (struct _server_info){.nd = fake.node, .pid = connection->server->pid};
        if (!connection->server->alive)
            info->flags |= _NTO_COF_DEAD;
        return id;
    }
    errno = EINVAL;
    return -1;
}

int fake_kill(pid_t pid, int number)
{
    struct fake_process *process;

    if (fails(FAKE_KILL))
        return -1;
    if (pid <= 0) { /* documented: a group, or every process */
        fake.wrong_deliveries++;
        return 0;
    }
    process = living(pid);
    if (!process) {
        errno = ESRCH;
        return -1;
    }
    process->signals++;
    process->last_signal = number;
    return 0;
}
