/*
 * Log lines: "linux1 info: ...", to each destination that takes their level.
 */
#ifndef SIM_LOGGER_H
#define SIM_LOGGER_H

#include "util/text.h"

#include <stdbool.h>
#include <stddef.h>

enum level {
    LEVEL_FATAL,
    LEVEL_INTERNAL,
    LEVEL_ERROR,
    LEVEL_WARN,
    LEVEL_INFO,
    LEVEL_DEBUG,
    LEVEL_VERBOSE,
    LEVEL_COUNT
};

/* The levels that each destination takes: bit L is level L. */
struct logger {
    const char *system; /* borrowed */
    unsigned out_levels;
    unsigned err_levels;
};

enum { LOGGER_DEFAULT_LEVELS = (1 << (LEVEL_INFO + 1)) - 1 };

/* Bits for a comma-separated list of levels. False: unknown level. */
bool logger_filters(const char *list, unsigned *levels);

/* Adds "SYSTEM LEVEL: ", the beginning of each line, to `text`. */
void logger_prefix(const struct logger *logger, enum level level, struct text *text);

/* Writes whole lines, prefixes included, with one write() per destination. */
void logger_text(const struct logger *logger, enum level level, const struct text *lines);

/* Writes one line, given without prefix and newline. */
void logger_line(const struct logger *logger, enum level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
