/*
 * What the readers of options share.
 */
#ifndef SIM_PARSER_H
#define SIM_PARSER_H

#include "conf/conf.h"

/* What the options of an entry belong to. */
enum context { CONTEXT_GLOBAL, CONTEXT_CPU, CONTEXT_VDEV, CONTEXT_PASS, CONTEXT_RESERVE };

struct parser {
    struct conf *conf;
    size_t next;              /* index of the first token not taken */
    const struct token *word; /* the option being read */
    enum context context;     /* the one that is open: until another is opened */
    size_t options;           /* read so far, this one included */
    bool logger_given;
    bool slog_warned;
};

/* Reads the option `word` with its arguments. */
void option_take(struct parser *parser);

/* The next argument of the option being read; a missing one is an error. */
const struct token *parser_argument(struct parser *parser);

/* The last cpu or vdev opened; only in that context. */
struct cpu *parser_cpu(const struct parser *parser);
struct vdev *parser_vdev(const struct parser *parser);

/* Reads the arguments of a `set`. */
void set_take(struct parser *parser);

/* Reads the argument of a `ram`. */
void ram_take(struct parser *parser);

/* Reads the argument of a `load`, and the headers of the file that it names. */
void load_take(struct parser *parser);

/* After all options: gives a base to the blocks that have none, and refuses overlaps. */
void ram_place(struct conf *conf);

/* After that: refuses what was loaded outside the RAM, twice, or for another machine;
   brings the pieces into order. */
void load_check(struct conf *conf);

#endif
