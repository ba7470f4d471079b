/*
 * A shell command that reads what this process writes.
 */
#ifndef SIM_SHELL_H
#define SIM_SHELL_H

#include <sys/types.h>

enum { SHELL_FAILED = -1 };

/* Runs `command` with /bin/sh -c. `*fd` becomes the non-blocking write end of its
   standard input; the caller closes it. Returns 0, or an errno value. */
int shell_start(const char *command, int *fd, pid_t *child);

/* Waits for the command, whose input was closed after writing ended with `error` (0: none).
   Returns `error`; SHELL_FAILED if the command did not exit with status 0, which then also
   explains a write error; or ECANCELED when told to quit. */
int shell_finish(pid_t child, int error);

#endif
