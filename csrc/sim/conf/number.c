/*
 * Converts the numbers of a configuration, more strictly than strtoull: the whole string
 * must be a number, without sign and blanks. Also keeps an array of the variables that are
 * numbers.
 */
#define _GNU_SOURCE
#include "conf/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* strtoull alone would take signs, blanks and octal numbers. */
static bool parse(const char *string, uint64_t *value, const char **rest)
{
    bool hex = string[0] == '0' && (string[1] == 'x' || string[1] == 'X');
    bool decimal = string[0] == '0' && (string[1] == 'd' || string[1] == 'D');
    const char *digits = hex || decimal ? string + 2 : string;
    size_t count = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
    char *end;

    if (count == 0)
        return false;
    errno = 0;
    *value = strtoull(digits, &end, hex ? 16 : 10);
    *rest = end;
    return errno == 0 && end == digits + count;
}

bool number_plain(const char *string, uint64_t *value)
{
    uint64_t parsed;
    const char *rest;

    if (!parse(string, &parsed, &rest) || *rest)
        return false;
    *value = parsed;
    return true;
}

bool number_size(const char *string, uint64_t *value)
{
    static const char suffixes[] = "kKmMgG";
    uint64_t parsed;
    const char *rest;
    unsigned shift = 0;

    if (!parse(string, &parsed, &rest))
        return false;
    if (*rest) {
        const char *found = strchr(suffixes, *rest);
        if (!found || rest[1])
            return false;
        shift = 10 * ((unsigned)(found - suffixes) / 2 + 1);
    }
    if (parsed > UINT64_MAX >> shift)
        return false;
    *value = parsed << shift;
    return true;
}

bool number_seconds(const char *string, double *value)
{
    char *end;

    if (!*string || string[strspn(string, "0123456789.")])
        return false;
    double parsed = strtod(string, &end);
    if (*end || parsed < 0 || parsed > 86400)
        return false;
    *value = parsed;
    return true;
}

bool number_boolean(const char *string, bool *value)
{
    static const char *const words[] = {"off", "on",  "0",     "1",
                                        "no",  "yes", "false", "true"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(string, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* The index of a setting; the count if there is none. */
static size_t index_of(const struct settings *settings, const char *prefix,
                       const char *name)
{
    size_t length = strlen(prefix);

    for (size_t i = 0; i < settings->count; i++) {
        const char *present = settings->items[i].name;
        if (strncmp(present, prefix, length) == 0 && strcmp(present + length, name) == 0)
            return i;
    }
    return settings->count;
}

void settings_put(struct settings *settings, struct setting setting)
{
    size_t index = index_of(settings, "", setting.name);

    if (index == settings->count) {
        settings->items = place_grow(settings->items, settings->count, sizeof setting);
        settings->count++;
    }
    settings->items[index] = setting;
}

const struct setting *settings_find(const struct settings *settings, const char *prefix,
                                    const char *name)
{
    size_t index = index_of(settings, prefix, name);

    return index < settings->count ? &settings->items[index] : NULL;
}
