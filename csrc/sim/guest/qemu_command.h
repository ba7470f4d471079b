/*
 * The command line of QEMU for a configuration.
 */
#ifndef SIM_QEMU_COMMAND_H
#define SIM_QEMU_COMMAND_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COMMAND_MOST_WORDS = 128 };

/* Words that end with a NULL, as execvp() takes them; all owned. */
struct command_line {
    char *words[COMMAND_MOST_WORDS + 1];
    size_t count;
    bool failed; /* out of memory, or too many words */
};

/* Descriptors of this process that QEMU inherits under the same numbers. */
struct command_fds {
    int qmp, gdb; /* sockets */
    int memory;   /* a file that is the guest's memory */
};

/* The bytes from the guest's first address to the end of the highest RAM block. */
uint64_t command_memory_size(const struct conf *conf);

/* Composes the command. Warns about vdevs that QEMU does not have. */
void command_compose(const struct conf *conf, const struct command_fds *fds,
                     struct command_line *line);

void command_free(struct command_line *line);

#endif
