/*
 * Writes log lines. Each line goes to its destinations with a single write(), so that
 * lines of several writers to one file do not mix.
 */
#include "util/logger.h"

#include "util/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[LEVEL_COUNT] = {"fatal", "internal", "error",  "warn",
                                               "info",  "debug",    "verbose"};

static bool find_level(const char *name, size_t length, unsigned *level)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
            *level = i;
            return true;
        }
    }
    return false;
}

bool logger_filters(const char *list, unsigned *levels)
{
    *levels = 0;
    for (;;) {
        size_t length = strcspn(list, ",");
        unsigned level;
        if (!find_level(list, length, &level))
            return false;
        *levels |= 1U << level;
        if (!list[length])
            return true;
        list += length + 1;
    }
}

void logger_prefix(const struct logger *logger, enum level level, struct text *text)
{
    text_clean(text, logger->system);
    text_printf(text, " %s: ", names[level]);
}

void logger_text(const struct logger *logger, enum level level, const struct text *lines)
{
    unsigned bit = 1U << level;

    /* There is no place to report that a log line was not written. */
    if (logger->out_levels & bit)
        (void)file_write(STDOUT_FILENO, lines->data, lines->length);
    if (logger->err_levels & bit)
        (void)file_write(STDERR_FILENO, lines->data, lines->length);
}

void logger_line(const struct logger *logger, enum level level, const char *format, ...)
{
    char message[1024];
    struct text line = {0};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    logger_prefix(logger, level, &line);
    text_clean(&line, message);
    text_string(&line, "\n");
    logger_text(logger, level, &line);
    text_free(&line);
}
