/* A process for the specs that is not a simulated VM, but resembles one in some respects.
 *
 *     bystander FILE lock     holds the file's record lock and does not catch signals
 *     bystander FILE catch    holds it and catches SIGUSR1 and SIGUSR2
 *     bystander FILE share    like catch; prints "child PID", a process that shares its
 *                             descriptors and outlives it
 *
 * The name under which it is run is the name of its executable. Prints "ready" when it
 * holds the lock, and "caught N" for each signal. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* A record lock belongs to a table of descriptors and lasts as long as the table, which
 * CLONE_FILES shares: the child keeps the lock when this process dies. */
static void share_descriptors(void)
{
    long child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0)
        for (;;)
            pause();
    printf("child %ld\n", child);
}

static int hold_lock(const char *path, int shared)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    sigset_t both, before;

    /* Signals are delivered only inside sigsuspend(): one that arrived just before it would
     * be handled without waking it up. */
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigprocmask(SIG_BLOCK, &both, &before);
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0)
        return fail(path);
    if (shared)
        share_descriptors();
    puts("ready");
    fflush(stdout);
    for (;;) {
        sigsuspend(&before);
        printf("caught %d\n", (int)caught);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action;

    if (argc < 3)
        return 2;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    if (strcmp(argv[2], "lock") != 0) {
        sigaction(SIGUSR1, &action, NULL);
        sigaction(SIGUSR2, &action, NULL);
    }
    return hold_lock(argv[1], strcmp(argv[2], "share") == 0);
}
