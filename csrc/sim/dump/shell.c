/*
 * Runs the command of `dump "|COMMAND"` and waits for it, without missing the signal to
 * quit.
 */
#define _GNU_SOURCE
#include "dump/shell.h"

#include "util/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The command gets `input` as its standard input, and default actions for the signals that
   the simulator ignores. */
static int spawn(const char *command, int input, pid_t *child)
{
    char *const arguments[] = {"sh", "-c", (char *)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t ignored;

    (void)sigemptyset(&ignored);
    (void)sigaddset(&ignored, SIGPIPE);
    (void)sigaddset(&ignored, SIGXFSZ);
    (void)sigaddset(&ignored, SIGTTIN);
    int error = posix_spawn_file_actions_init(&files);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
        if (!error)
            error = posix_spawnattr_setsigdefault(&attributes, &ignored);
        if (!error)
            error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        if (!error)
            error = posix_spawn(child, "/bin/sh", &files, &attributes, arguments, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return error;
}

int shell_start(const char *command, int *fd, pid_t *child)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        return errno;
    /* If the command does not read, a write must still end when the simulator is told to
       quit. */
    int error =
        fcntl(ends[1], F_SETFL, O_NONBLOCK) ? errno : spawn(command, ends[0], child);
    (void)close(ends[0]);
    if (error)
        (void)close(ends[1]);
    else
        *fd = ends[1];
    return error;
}

int shell_finish(pid_t child, int error)
{
    const double pause = 0.01;
    int status;

    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended < 0 && errno != EINTR)
            return errno;
        if (ended == child)
            break;
        if (!signals_sleep_until(signals_clock() + pause))
            return ECANCELED;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? error : SHELL_FAILED;
}
