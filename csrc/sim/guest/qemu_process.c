/*
 * Starts QEMU, with sockets for its monitor and its gdb stub, and a file in memory (memfd)
 * as the guest's RAM. PR_SET_PDEATHSIG ends QEMU if this process is killed.
 */
#define _GNU_SOURCE
#include "guest/qemu_process.h"

#include "guest/qemu_command.h"
#include "util/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void qemu_process_init(struct qemu_process *process)
{
    *process = (struct qemu_process){.qmp = -1, .gdb = -1, .memory = -1};
}

/* In the child. Returns only if QEMU cannot be executed. */
static void execute(const struct command_line *line, const struct command_fds *fds,
                    pid_t parent)
{
    int null = open("/dev/null", O_RDONLY);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)dup2(null, STDIN_FILENO);
    (void)fcntl(fds->qmp, F_SETFD, 0);
    (void)fcntl(fds->gdb, F_SETFD, 0);
    (void)fcntl(fds->memory, F_SETFD, 0);
    (void)setpgid(0, 0); /* Ctrl-C is for the simulator, which asks the guest to end */
    (void)execvp(line->words[0], line->words);
}

/* Starts the process. Returns 0, or the errno value of what failed. */
static int spawn(struct qemu_process *process, const struct command_line *line,
                 const struct command_fds *fds)
{
    pid_t parent = getpid();
    int report[2];
    int error = 0;

    if (line->failed)
        return E2BIG;
    if (pipe2(report, O_CLOEXEC))
        return errno;
    process->pid = fork();
    if (process->pid == 0) {
        execute(line, fds, parent);
        error = errno;
        (void)!write(report[1], &error, sizeof error);
        _exit(127);
    }
    (void)close(report[1]);
    if (process->pid < 0)
        error = errno;
    else if (read(report[0], &error, sizeof error) != sizeof error)
        error = 0;
    if (error && process->pid > 0)
        (void)waitpid(process->pid, NULL, 0);
    if (error)
        process->pid = 0;
    (void)close(report[0]);
    return error;
}

static int start(struct qemu_process *process, const struct conf *conf,
                 struct command_line *line)
{
    int qmp[2] = {-1, -1};
    int gdb[2] = {-1, -1};
    int error = 0;

    process->memory = memfd_create("guest memory", MFD_CLOEXEC);
    if (process->memory < 0 ||
        ftruncate(process->memory, (off_t)command_memory_size(conf)) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gdb))
        error = errno;
    process->qmp = qmp[0];
    process->gdb = gdb[0];
    struct command_fds fds = {qmp[1], gdb[1], process->memory};
    if (!error) {
        command_compose(conf, &fds, line);
        error = spawn(process, line, &fds);
    }
    (void)close(qmp[1]);
    (void)close(gdb[1]);
    return error;
}

static void explain(const struct conf *conf, const struct command_line *line, int error)
{
    bool arm = conf->machine == MACHINE_AARCH64;

    if (error == ENOENT && line->count > 0)
        (void)fprintf(stderr,
                      "qvm: sim-guest qemu: %s is not installed (Debian: qemu-system-%s)\n",
                      line->words[0], arm ? "arm" : "x86");
    else
        (void)fprintf(stderr, "qvm: sim-guest qemu: cannot start QEMU: %s\n",
                      strerror(error));
}

bool qemu_process_start(struct qemu_process *process, const struct conf *conf)
{
    struct command_line line = {0};
    int error = start(process, conf, &line);

    if (error)
        explain(conf, &line, error);
    command_free(&line);
    return error == 0;
}

/* Waits until QEMU has ended. False: it still runs after `seconds`. */
static bool wait_for_end(struct qemu_process *process, double seconds)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    double deadline = signals_clock() + seconds;

    while (waitpid(process->pid, NULL, WNOHANG) == 0) {
        if (signals_clock() > deadline)
            return false;
        (void)nanosleep(&nap, NULL);
    }
    return true;
}

void qemu_process_end(struct qemu_process *process)
{
    if (process->pid <= 0)
        return;
    if (!wait_for_end(process, 2)) {
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
    }
    process->pid = 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void qemu_process_close(struct qemu_process *process)
{
    close_fd(process->qmp);
    close_fd(process->gdb);
    close_fd(process->memory);
}
