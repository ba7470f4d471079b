/*
 * Numbers in configurations: how they are written, and variables whose value is one.
 */
#ifndef SIM_NUMBER_H
#define SIM_NUMBER_H

#include "conf/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each converts a whole string. False: the string is something else, and the result is
   unchanged. */

/* Decimal, also with 0d, or hexadecimal with 0x. */
bool number_plain(const char *string, uint64_t *value);

/* The same, optionally followed by K, M or G in either case: a power of 1024. */
bool number_size(const char *string, uint64_t *value);

/* Decimal, optionally with a fraction; from 0 to 86400. */
bool number_seconds(const char *string, double *value);

/* on off, 1 0, yes no, true false. */
bool number_boolean(const char *string, bool *value);

/* Variables of a vCPU that are numbers: its page table, and registers. The name of a
   register follows the last two. */
#define SETTING_PGTBL "sim-pgtbl"
#define SETTING_REG   "sim-reg-"
#define SETTING_EXTRA "sim-extra-"

struct setting {
    const char *name; /* of the variable, borrowed */
    uint64_t value;
    struct place place;
};

struct settings {
    struct setting *items;
    size_t count;
};

/* Adds a setting. It replaces one of the same name. */
void settings_put(struct settings *settings, struct setting setting);

/* Finds the setting whose name is `prefix` followed by `name`; NULL if there is none. */
const struct setting *settings_find(const struct settings *settings, const char *prefix,
                                    const char *name);

#endif
