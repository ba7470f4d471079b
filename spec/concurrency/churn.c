/* Process churn: VMs die and processes reuse their IDs, as fast as the machine can.
 *
 * qvm ROOT SCOREBOARD VMS SIMULATOR
 *
 * Run it under the name "qvm", in its own pid namespace. It serves VMS VMs below ROOT,
 * named "a", "b" and so on, each by one server process after another. A server locks its
 * env, counts the signals it receives, and is ended within a few hundred microseconds.
 * The last VM is served by SIMULATOR. The ID of an ended process is reused at once,
 * either by a bystander or by the next server of the same VM: writing N to ns_last_pid
 * makes N+1 the next ID of the namespace. A bystander is also called "qvm" and either
 * dies of SIGUSR1 and SIGUSR2 or counts them.
 *
 * SCOREBOARD is a file of 64-bit counters (struct scoreboard) that other processes map or
 * read meanwhile. The program ends when its standard input does; its status is 1 if a
 * bystander received a signal. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_VMS = 8, BYSTANDERS = 24, FIRST_ID = 300, LAST_ID = 400 };

struct vm_counters {
    /* Signals that servers received, including those still pending when they ended. */
    _Atomic uint64_t received;
    /* Servers that were told to end, and servers that have ended and been counted. */
    _Atomic uint64_t ending, ended;
};

struct scoreboard {
    _Atomic uint64_t bystanders; /* started */
    _Atomic uint64_t reused;     /* of those, how many got the ID that was freed for them */
    _Atomic uint64_t misdelivered; /* signals that bystanders caught */
    _Atomic uint64_t deaths;       /* processes that died of SIGUSR1 or SIGUSR2 */
    struct vm_counters vms[MOST_VMS];
};

struct churn {
    const char *root, *simulator;
    int vms, last_pid; /* last_pid: a descriptor of ns_last_pid */
    pid_t servers[MOST_VMS], bystanders[BYSTANDERS];
    int next; /* the bystander to replace next */
    unsigned seed;
};

static struct scoreboard *scoreboard;
static _Atomic uint64_t *counter; /* of this process */

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static unsigned random_below(struct churn *churn, unsigned below)
{
    churn->seed = churn->seed * 1103515245u + 12345u;
    return (churn->seed >> 8) % below;
}

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(counter, 1);
}

static void on_end(int number)
{
    (void)number;
    _exit(0);
}

/* SIGTERM is blocked while a signal is handled, so one that was delivered is counted before
 * the process ends; SIGKILL would not wait. */
static void count_signals(_Atomic uint64_t *where)
{
    struct sigaction action;

    counter = where;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_end;
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_signal;
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

static void name_file(const struct churn *churn, int vm, const char *file, char *path,
                      size_t size)
{
    snprintf(path, size, "%s/%c%s", churn->root, 'a' + vm, file);
}

/* Serves a VM. Like the simulator, it locks a new file before renaming it to env. */
static void serve(const struct churn *churn, int vm)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[512], new[512];
    int fd;

    name_file(churn, vm, "/env", path, sizeof path);
    name_file(churn, vm, ".new", new, sizeof new);
    count_signals(&scoreboard->vms[vm].received);
    fd = open(new, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "{}", 2) != 2 || fcntl(fd, F_SETLK, &lock) != 0 ||
        rename(new, path) != 0)
        die(path);
    for (;;)
        pause();
}

static void simulate(const struct churn *churn, int vm)
{
    const char name[] = {(char)('a' + vm), '\0'};
    int log = open("/dev/null", O_RDWR);

    dup2(log, 0);
    dup2(log, 1);
    setenv("QVM_ROOT", churn->root, 1);
    execl(churn->simulator, "qvm", "system", name, "ram", "1M", "cpu", (char *)NULL);
    die(churn->simulator);
}

static bool is_simulated(const struct churn *churn, int vm)
{
    return churn->simulator[0] && vm == churn->vms - 1;
}

static pid_t fork_child(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void start_server(struct churn *churn, int vm)
{
    pid_t pid = fork_child();

    if (pid == 0 && is_simulated(churn, vm))
        simulate(churn, vm);
    if (pid == 0)
        serve(churn, vm);
    churn->servers[vm] = pid;
}

/* How many of the two signals were still pending when a process died that is not yet
 * reaped. */
static unsigned count_pending(pid_t pid)
{
    char path[64], line[128];
    unsigned long long mask = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "ShdPnd:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    if (!file)
        die(path);
    fclose(file);
    return (unsigned)(mask >> (SIGUSR1 - 1) & 1) + (unsigned)(mask >> (SIGUSR2 - 1) & 1);
}

static void end_server(struct churn *churn, int vm)
{
    struct vm_counters *counters = &scoreboard->vms[vm];
    pid_t pid = churn->servers[vm];
    siginfo_t info = {0};

    /* WNOWAIT keeps the zombie, whose status can still be read. */
    atomic_fetch_add(&counters->ending, 1);
    kill(pid, is_simulated(churn, vm) && random_below(churn, 2) ? SIGKILL : SIGTERM);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    if (info.si_status == SIGUSR1 || info.si_status == SIGUSR2)
        atomic_fetch_add(&scoreboard->deaths, 1);
    atomic_fetch_add(&counters->received, count_pending(pid));
    waitpid(pid, NULL, 0);
    atomic_fetch_add(&counters->ended, 1);
}

static void end_bystander(pid_t pid)
{
    int status = 0;

    if (pid == 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        atomic_fetch_add(&scoreboard->deaths, 1);
}

static void start_bystander(struct churn *churn, pid_t id)
{
    bool counts = random_below(churn, 2);
    pid_t pid = fork_child();

    if (pid == 0 && counts)
        count_signals(&scoreboard->misdelivered);
    if (pid == 0)
        for (;;)
            pause();
    atomic_fetch_add(&scoreboard->bystanders, 1);
    if (pid == id)
        atomic_fetch_add(&scoreboard->reused, 1);
    end_bystander(churn->bystanders[churn->next]);
    churn->bystanders[churn->next] = pid;
    churn->next = (churn->next + 1) % BYSTANDERS;
}

/* Makes this the next process ID, if it is free. */
static void set_next_id(const struct churn *churn, pid_t id)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld", (long)id - 1);

    if (pwrite(churn->last_pid, text, (size_t)length, 0) != length)
        die("ns_last_pid");
}

static void step(struct churn *churn)
{
    int vm = (int)random_below(churn, (unsigned)churn->vms);
    pid_t id = churn->servers[vm];

    end_server(churn, vm);
    set_next_id(churn, id);
    if (random_below(churn, 4) > 0)
        start_bystander(churn, id);
    if (churn->servers[vm] > LAST_ID)
        set_next_id(churn, FIRST_ID);
    start_server(churn, vm);
}

static void run(struct churn *churn)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};

    while (poll(&input, 1, 0) == 0) {
        step(churn);
        usleep(random_below(churn, 400));
    }
}

static struct scoreboard *open_scoreboard(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    void *bytes = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *scoreboard) == 0)
        bytes = mmap(NULL, sizeof *scoreboard, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        die(path);
    close(fd);
    return bytes;
}

int main(int argc, char **argv)
{
    struct churn churn = {.seed = (unsigned)getpid()};
    char path[512];

    if (argc != 5)
        return 2;
    churn.root = argv[1];
    scoreboard = open_scoreboard(argv[2]);
    churn.vms = atoi(argv[3]);
    churn.simulator = argv[4];
    churn.last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (churn.vms < 1 || churn.vms > MOST_VMS || churn.last_pid < 0)
        die("ns_last_pid");
    set_next_id(&churn, FIRST_ID);
    for (int vm = 0; vm < churn.vms; vm++) {
        name_file(&churn, vm, "", path, sizeof path);
        if (mkdir(path, 0700) != 0)
            die(path);
        start_server(&churn, vm);
    }
    run(&churn);
    for (int vm = 0; vm < churn.vms; vm++)
        end_server(&churn, vm);
    for (int i = 0; i < BYSTANDERS; i++)
        end_bystander(churn.bystanders[i]);
    return scoreboard->misdelivered + scoreboard->deaths > 0;
}
