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

/* Reads the argument of a `load`. */
void load_take(struct parser *parser);

/* Splits "[address,]file" of an option. File names may contain a comma, too; an address
   begins with a digit. False: no address. */
bool load_split(char *text, struct place place, const char *option, const char **path,
                uint64_t *address);

/* Take the values of sim-guest, sim-guest-accel and sim-guest-qmp. */
void guest_set(struct parser *parser, const struct token *value);
void guest_set_accel(struct parser *parser, const struct token *value);
void guest_set_qmp(struct parser *parser, const struct token *value);

/* Adds a block at a given address. */
void ram_add(struct conf *conf, struct place place, uint64_t base, uint64_t size);

/* After all options: takes RAM and vCPUs from a dump, or checks that QEMU can run the
   guest. */
void guest_complete(struct conf *conf);

/* After that: places the blocks without a base; overlaps are an error. */
void ram_place(struct conf *conf);

/* After that: reads the headers of what is loaded, checks that all of it is in RAM, nothing
   twice, and for this machine; sorts the extents. */
void load_read(struct conf *conf);

#endif
