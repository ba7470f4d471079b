/*
 * The file env in an open directory: its owner, and replacing it.
 */
#ifndef SIM_ENVFILE_H
#define SIM_ENVFILE_H

#include "util/text.h"

#include <stdbool.h>
#include <sys/types.h>

#define ENVFILE_NAME "env"

/* Finds the process that holds a lock on env: 0 if none does, or there is no env. The
   process that serves env must not call it. Returns 0, or -1 with errno set (EEXIST: env is
   neither file nor FIFO). */
int envfile_owner(int directory, pid_t *owner);

/* Each creates a new file (with the text, or a FIFO that blocks its readers for ever),
   locks it and renames it to env. Returns its descriptor, which holds the lock, or -1 with
   errno set: nothing has changed then. The caller closes the old descriptor afterwards. */
int envfile_write(int directory, const struct text *text);
int envfile_block(int directory);

/* Whether env is still the file that `fd` is open on. */
bool envfile_is(int directory, int fd);

#endif
