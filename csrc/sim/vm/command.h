/*
 * Commands on standard input: one word per line, acknowledged on standard output by
 * "ok COMMAND" once it has taken effect.
 */
#ifndef SIM_COMMAND_H
#define SIM_COMMAND_H

#include "vm/server.h"

#include <stdbool.h>
#include <stddef.h>

struct command_input {
    bool ended;
    bool overlong; /* the current line is too long */
    size_t length; /* of the current line, so far */
    char line[64];
};

void command_open(struct command_input *input);

/* For poll(): the descriptor, or -1 if nothing can be read now; and the milliseconds after
   which to ask again (-1: never). */
int command_fd(const struct command_input *input);
int command_timeout(const struct command_input *input);

/* Reads once, and executes the commands of complete lines. */
void command_read(struct command_input *input, struct server *server);

void command_acknowledge(const char *word);

#endif
