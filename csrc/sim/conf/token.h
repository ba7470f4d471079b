/*
 * The words of a configuration, and their places. The syntax is that of
 * docs/configuration.md; lua/qvm/host/conf_words.lua reads the same.
 */
#ifndef SIM_TOKEN_H
#define SIM_TOKEN_H

#include "conf/message.h"

#include <stdbool.h>
#include <stddef.h>

struct source;

struct token {
    char *text;
    struct place place;
    const struct source
        *source;      /* identifies one reading of one file; NULL: command line */
    bool starts_line; /* first word of a line of a file */
    bool quoted;      /* has a quoted part */
};

/* Starts all zero; owns everything below it. */
struct tokens {
    struct token *items;
    size_t count;
    struct source *sources;
    size_t include_count;
    size_t bytes; /* of all sources */
};

/* Adds argument `number` of the command line: a word, or an include. Exits on an error (see
   place_fail). */
void tokens_add(struct tokens *tokens, const char *argument, unsigned long number);

void tokens_free(struct tokens *tokens);

#endif
