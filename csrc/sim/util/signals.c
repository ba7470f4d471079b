/*
 * Signal handlers. They write the number of each signal into a pipe, which the main loop
 * polls and reads. A signal to quit also sets a flag, which ends everything that waits.
 */
#define _GNU_SOURCE
#include "util/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static int pipe_ends[2] = {-1, -1};
static volatile sig_atomic_t quit;
static volatile sig_atomic_t is_button;

static bool ends(int number)
{
    return number == SIGQUIT || (!is_button && (number == SIGTERM || number == SIGINT));
}

static void note(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;

    if (ends(number) && !quit)
        quit = number;
    /* If the pipe is full, the signal is lost: enough requests are waiting. */
    if (write(pipe_ends[1], &byte, 1) < 0)
        errno = saved;
    errno = saved;
}

static int set_action(int number, void (*handler)(int))
{
    struct sigaction action = {0};

    /* Without SA_RESTART: a signal to quit ends a write that blocks. */
    action.sa_handler = handler;
    (void)sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

int signals_install(void)
{
    static const int noted[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGQUIT};
    /* SIGXFSZ would kill the process instead of failing a write; SIGTTIN would stop a
       background process that reads from its terminal. */
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTIN};
    sigset_t mask;

    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof noted / sizeof noted[0]; i++) {
        (void)sigaddset(&mask, noted[i]);
        if (set_action(noted[i], note))
            return -1;
    }
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        if (set_action(ignored[i], SIG_IGN))
            return -1;
    }
    /* Undo what a parent may have ignored or blocked. */
    if (set_action(SIGCHLD, SIG_DFL))
        return -1;
    return sigprocmask(SIG_UNBLOCK, &mask, NULL);
}

void signals_use_button(void)
{
    is_button = 1;
}

int signals_fd(void)
{
    return pipe_ends[0];
}

int signals_next(void)
{
    unsigned char byte;

    return read(pipe_ends[0], &byte, 1) == 1 ? byte : 0;
}

int signals_quit(void)
{
    return quit;
}

double signals_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Sleeps in short naps, because a signal just before a sleep does not end it. */
bool signals_sleep_until(double deadline)
{
    const double nap = 0.02;

    while (!quit) {
        double left = deadline - signals_clock();
        if (left <= 0)
            return true;
        struct timespec time = {.tv_nsec = (long)((left < nap ? left : nap) * 1e9)};
        (void)nanosleep(&time, NULL);
    }
    return false;
}

void signals_close(void)
{
    int read_end = pipe_ends[0];
    int write_end = pipe_ends[1];

    pipe_ends[0] = -1;
    pipe_ends[1] = -1;
    (void)close(read_end);
    (void)close(write_end);
}
