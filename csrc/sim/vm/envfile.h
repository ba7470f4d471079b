/*
 * The file env in an open directory: who serves it, and how it is replaced.
 */
#ifndef SIM_ENVFILE_H
#define SIM_ENVFILE_H

#include "text.h"

#include <stdbool.h>
#include <sys/types.h>

#define ENVFILE_NAME "env"

/* The process that holds a lock on env: 0 if none does, or there is no env. Must not be
   called by the process that serves it. Returns 0, or -1 with errno set (EEXIST: env is
   neither file nor FIFO). */
int envfile_owner(int directory, pid_t *owner);

/* Each creates a new file, with the text or a FIFO that blocks its readers for ever, locks
   it, and gives it the name env. Returns its descriptor, which holds the lock, or -1 with
   errno set: nothing has changed then. The descriptor of the env before is to be closed
   after. */
int envfile_write(int directory, const struct text *text);
int envfile_block(int directory);

/* Whether the name env still stands for the file that `fd` is open on. */
bool envfile_is(int directory, int fd);

#endif
