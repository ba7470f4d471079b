/*
 * Commands on standard input: one word on a line, acknowledged on standard output by
 * "ok COMMAND" once it took effect.
 */
#ifndef SIM_COMMAND_H
#define SIM_COMMAND_H

#include "vm/server.h"

#include <stdbool.h>
#include <stddef.h>

struct command_input {
    bool ended;
    bool overlong; /* the line being read has too many characters */
    size_t length; /* of it, so far */
    char line[64];
};

void command_open(struct command_input *input);

/* For poll(): the descriptor to look at, -1 where there is nothing to read now, and after
   how many milliseconds to ask again (-1: no need). */
int command_fd(const struct command_input *input);
int command_timeout(const struct command_input *input);

/* Reads once, and does what complete lines say. */
void command_read(struct command_input *input, struct server *server);

void command_acknowledge(const char *word);

#endif
