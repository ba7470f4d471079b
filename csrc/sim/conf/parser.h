/*
 * The state that the readers of options share.
 */
#ifndef SIM_PARSER_H
#define SIM_PARSER_H

#include "conf/conf.h"

/* The entry that options belong to. */
enum context { CONTEXT_GLOBAL, CONTEXT_CPU, CONTEXT_VDEV, CONTEXT_PASS, CONTEXT_RESERVE };

struct parser {
    struct conf *conf;
    size_t next;              /* index of the first token not taken */
    const struct token *word; /* the option being read */
    enum context context;     /* the current one, until another one begins */
    size_t options;           /* read so far, including this one */
    bool logger_given;
    bool slog_warned;
};

/* Reads the option `word` with its arguments. */
void option_take(struct parser *parser);

/* The next argument of the option being read; a missing one is an error. */
const struct token *parser_argument(struct parser *parser);

/* The current cpu or vdev; only in that context. */
struct cpu *parser_cpu(const struct parser *parser);
struct vdev *parser_vdev(const struct parser *parser);

/* Reads the arguments of a `set`. */
void set_take(struct parser *parser);

/* Reads the argument of a `ram`. */
void ram_take(struct parser *parser);

/* Reads the argument of a `load`, and the headers of the file that it names. */
void load_take(struct parser *parser);

/* After all options: places the blocks without a base; overlaps are an error. */
void ram_place(struct conf *conf);

/* After that: checks that everything is loaded into RAM, nothing twice, and for this
   machine; sorts the extents. */
void load_check(struct conf *conf);

#endif
