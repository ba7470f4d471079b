/* VMs that die, and processes that are given their ids, as fast as the machine can.
 *
 *     qvm ROOT BOARD VMS SIMULATOR
 *
 * to be run by the name "qvm", in a process namespace of its own. Serves VMS VMs below
 * ROOT, named "a", "b" and so on, each by one life after the other: a process that holds
 * the lock of its env, counts the signals that it gets, and is killed within some hundred
 * microseconds. The last of them is served by SIMULATOR, the real one. The id of a process
 * that was killed is given at once to a bystander, which is called "qvm" too, and either
 * dies of SIGUSR1 and SIGUSR2 or counts them, or to the next life of the same VM.
 *
 * BOARD is a file of 64-bit counters, see struct board, to be read while this runs. Ends
 * when its standard input does, with status 1 if a bystander got a signal. */
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

struct vm_board {
    /* Signals that lives have got, and those that were pending when they died. */
    _Atomic uint64_t received;
    /* Lives that were told to die, and lives that are over and counted. */
    _Atomic uint64_t ending, ended;
};

struct board {
    _Atomic uint64_t bystanders; /* that were born */
    _Atomic uint64_t reused;     /* of those, how many got the id that they were to get */
    _Atomic uint64_t strays;     /* signals that bystanders caught */
    _Atomic uint64_t deaths;     /* processes that died of SIGUSR1 or SIGUSR2 */
    struct vm_board vms[MOST_VMS];
};

struct hatchery {
    const char *root, *simulator;
    int vms, last_id;
    pid_t lives[MOST_VMS], bystanders[BYSTANDERS];
    int next;
    unsigned seed;
};

static struct board *board;
static _Atomic uint64_t *counter; /* of this process */

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static unsigned roll(struct hatchery *hatchery, unsigned below)
{
    hatchery->seed = hatchery->seed * 1103515245u + 12345u;
    return (hatchery->seed >> 8) % below;
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

/* A signal that was taken is counted before the end: SIGTERM waits for the handler, as
 * SIGKILL would not. */
static void count_signals(_Atomic uint64_t *here)
{
    struct sigaction action;

    counter = here;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_end;
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_signal;
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

static void name_file(const struct hatchery *hatchery, int vm, const char *file, char *path,
                      size_t size)
{
    snprintf(path, size, "%s/%c%s", hatchery->root, 'a' + vm, file);
}

/* A life of a VM: as the simulator, it locks a new file before that becomes the env. */
static void live(const struct hatchery *hatchery, int vm)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[512], new[512];
    int fd;

    name_file(hatchery, vm, "/env", path, sizeof path);
    name_file(hatchery, vm, ".new", new, sizeof new);
    count_signals(&board->vms[vm].received);
    fd = open(new, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "{}", 2) != 2 || fcntl(fd, F_SETLK, &lock) != 0 ||
        rename(new, path) != 0)
        die(path);
    for (;;)
        pause();
}

static void simulate(const struct hatchery *hatchery, int vm)
{
    const char name[] = {(char)('a' + vm), '\0'};
    int log = open("/dev/null", O_RDWR);

    dup2(log, 0);
    dup2(log, 1);
    setenv("QVM_ROOT", hatchery->root, 1);
    execl(hatchery->simulator, "qvm", "system", name, "ram", "1M", "cpu", (char *)NULL);
    die(hatchery->simulator);
}

static bool is_simulated(const struct hatchery *hatchery, int vm)
{
    return hatchery->simulator[0] && vm == hatchery->vms - 1;
}

static pid_t give_birth(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void start_life(struct hatchery *hatchery, int vm)
{
    pid_t pid = give_birth();

    if (pid == 0 && is_simulated(hatchery, vm))
        simulate(hatchery, vm);
    if (pid == 0)
        live(hatchery, vm);
    hatchery->lives[vm] = pid;
}

/* Which of the two signals a process that is dead, but not yet reaped, had not taken. */
static unsigned pending(pid_t pid)
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

static void end_life(struct hatchery *hatchery, int vm)
{
    struct vm_board *here = &board->vms[vm];
    pid_t pid = hatchery->lives[vm];
    siginfo_t info = {0};

    atomic_fetch_add(&here->ending, 1);
    kill(pid, is_simulated(hatchery, vm) && roll(hatchery, 2) ? SIGKILL : SIGTERM);
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    if (info.si_status == SIGUSR1 || info.si_status == SIGUSR2)
        atomic_fetch_add(&board->deaths, 1);
    atomic_fetch_add(&here->received, pending(pid));
    waitpid(pid, NULL, 0);
    atomic_fetch_add(&here->ended, 1);
}

static void bury_bystander(pid_t pid)
{
    int status = 0;

    if (pid == 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        atomic_fetch_add(&board->deaths, 1);
}

static void start_bystander(struct hatchery *hatchery, pid_t wanted)
{
    bool counts = roll(hatchery, 2);
    pid_t pid = give_birth();

    if (pid == 0 && counts)
        count_signals(&board->strays);
    if (pid == 0)
        for (;;)
            pause();
    atomic_fetch_add(&board->bystanders, 1);
    if (pid == wanted)
        atomic_fetch_add(&board->reused, 1);
    bury_bystander(hatchery->bystanders[hatchery->next]);
    hatchery->bystanders[hatchery->next] = pid;
    hatchery->next = (hatchery->next + 1) % BYSTANDERS;
}

/* The next process gets this id if it is free. */
static void set_next_id(const struct hatchery *hatchery, pid_t id)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld", (long)id - 1);

    if (pwrite(hatchery->last_id, text, (size_t)length, 0) != length)
        die("ns_last_pid");
}

static void step(struct hatchery *hatchery)
{
    int vm = (int)roll(hatchery, (unsigned)hatchery->vms);
    pid_t id = hatchery->lives[vm];

    end_life(hatchery, vm);
    set_next_id(hatchery, id);
    if (roll(hatchery, 4) > 0)
        start_bystander(hatchery, id);
    if (hatchery->lives[vm] > LAST_ID)
        set_next_id(hatchery, FIRST_ID);
    start_life(hatchery, vm);
}

static void run(struct hatchery *hatchery)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};

    while (poll(&input, 1, 0) == 0) {
        step(hatchery);
        usleep(roll(hatchery, 400));
    }
}

static struct board *open_board(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    void *bytes = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *board) == 0)
        bytes = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        die(path);
    close(fd);
    return bytes;
}

int main(int argc, char **argv)
{
    struct hatchery hatchery = {.seed = (unsigned)getpid()};
    char path[512];

    if (argc != 5)
        return 2;
    hatchery.root = argv[1];
    board = open_board(argv[2]);
    hatchery.vms = atoi(argv[3]);
    hatchery.simulator = argv[4];
    hatchery.last_id = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (hatchery.vms < 1 || hatchery.vms > MOST_VMS || hatchery.last_id < 0)
        die("ns_last_pid");
    set_next_id(&hatchery, FIRST_ID);
    for (int vm = 0; vm < hatchery.vms; vm++) {
        name_file(&hatchery, vm, "", path, sizeof path);
        if (mkdir(path, 0700) != 0)
            die(path);
        start_life(&hatchery, vm);
    }
    run(&hatchery);
    for (int vm = 0; vm < hatchery.vms; vm++)
        end_life(&hatchery, vm);
    for (int i = 0; i < BYSTANDERS; i++)
        bury_bystander(hatchery.bystanders[i]);
    return board->strays + board->deaths > 0;
}
