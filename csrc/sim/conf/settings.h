/*
 * Variables of cpus that stand for a number: the page table, registers.
 */
#ifndef SIM_SETTINGS_H
#define SIM_SETTINGS_H

#include "conf/place.h"

#include <stddef.h>
#include <stdint.h>

/* Their names; the last two are followed by a register's. */
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

/* Adds a setting, in place of one of the same name. */
void settings_put(struct settings *settings, struct setting setting);

/* The setting whose name is `prefix` and `name`; NULL: there is none. */
const struct setting *settings_find(const struct settings *settings, const char *prefix,
                                    const char *name);

#endif
