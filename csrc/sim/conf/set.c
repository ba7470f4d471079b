/*
 * The option `set`: variables of the VM, a vCPU or a vdev. The simulator's own begin with
 * "sim-"; of QNX's it knows `debug` and ignores the others with a warning.
 */
#define _GNU_SOURCE
#include "conf/message.h"
#include "conf/number.h"
#include "conf/parser.h"
#include "util/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERRATUM_PREFIX "sim-erratum-"

struct variable {
    const char *name;
    void (*set)(struct parser *parser, const struct token *value);
};

static _Noreturn void bad_value(const struct parser *parser, const struct token *value,
                                const char *wanted)
{
    const struct token *variable = &parser->conf->tokens.items[parser->next - 2];

    place_fail(value->place, "set %s: bad value '%s', wanted %s", variable->text,
               value->text, wanted);
}

/* Whether the value is the second of two words; any other is an error. */
static bool second_of(struct parser *parser, const struct token *value, const char *first,
                      const char *second)
{
    char wanted[64];

    if (strcmp(value->text, first) == 0)
        return false;
    if (strcmp(value->text, second) == 0)
        return true;
    (void)snprintf(wanted, sizeof wanted, "%s or %s", first, second);
    bad_value(parser, value, wanted);
}

static void set_machine(struct parser *parser, const struct token *value)
{
    bool x86 = second_of(parser, value, "aarch64", "x86_64");

    parser->conf->machine = x86 ? MACHINE_X86_64 : MACHINE_AARCH64;
}

static void set_env(struct parser *parser, const struct token *value)
{
    parser->conf->served = second_of(parser, value, "files", "fuse");
    parser->conf->served_place = value->place;
}

static void set_note(struct parser *parser, const struct token *value)
{
    parser->conf->new_note = second_of(parser, value, "old", "new");
}

static void set_dump_seconds(struct parser *parser, const struct token *value)
{
    if (!number_seconds(value->text, &parser->conf->dump_seconds))
        bad_value(parser, value, "seconds from 0 to 86400");
}

static void set_env_template(struct parser *parser, const struct token *value)
{
    struct conf *conf = parser->conf;

    text_free(&conf->template);
    conf->has_template = true;
    if (file_read(value->text, &conf->template))
        place_fail(value->place, "cannot read %s: %s", value->text, strerror(errno));
}

static void set_debug(struct parser *parser, const struct token *value)
{
    bool on;

    if (!number_boolean(value->text, &on))
        bad_value(parser, value, "on or off");
    if (parser->context == CONTEXT_VDEV)
        parser_vdev(parser)->debug = on;
    else
        place_warn(parser->word->place, "set debug: has an effect for a vdev only");
}

static const struct variable variables[] = {
    {"sim-machine", set_machine},
    {"sim-note", set_note},
    {"sim-env", set_env},
    {"sim-dump-seconds", set_dump_seconds},
    {"sim-env-template", set_env_template},
    {"sim-guest", guest_set},
    {"sim-guest-accel", guest_set_accel},
    {"sim-guest-qmp", guest_set_qmp},
    {"debug", set_debug},
};

static struct erratum *find_erratum(struct errata *errata, const char *id)
{
    for (size_t i = 0; i < errata->count; i++) {
        if (strcmp(errata->items[i].id, id) == 0)
            return &errata->items[i];
    }
    errata->items = place_grow(errata->items, errata->count, sizeof *errata->items);
    errata->items[errata->count].id = id;
    return &errata->items[errata->count++];
}

static bool erratum_value(const char *string, struct erratum *erratum)
{
    static const char *const words[] = {
        [ERRATUM_OFF] = "off", [ERRATUM_ON] = "on", [ERRATUM_AUTO] = "auto"};

    for (enum erratum_kind kind = ERRATUM_OFF; kind <= ERRATUM_AUTO; kind++) {
        if (strcmp(string, words[kind]) == 0) {
            erratum->kind = kind;
            return true;
        }
    }
    erratum->kind = ERRATUM_NUMBER;
    return number_plain(string, &erratum->number);
}

static void set_erratum(struct parser *parser, const struct token *variable,
                        const struct token *value)
{
    const char *id = variable->text + strlen(ERRATUM_PREFIX);
    struct errata *errata = &parser->conf->errata;

    /* In env, the errata of a cpu are a member "cpuN" among the common errata. */
    if (!*id || strncmp(id, "cpu", 3) == 0)
        place_fail(variable->place, "set %s: bad erratum ID", variable->text);
    if (parser->context == CONTEXT_VDEV)
        place_fail(variable->place, "set %s: not a variable of a vdev", variable->text);
    if (parser->context == CONTEXT_CPU)
        errata = &parser_cpu(parser)->errata;
    if (!erratum_value(value->text, find_erratum(errata, id)))
        bad_value(parser, value, "on, off, auto or a number");
}

static bool begins(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

/* Whether a variable is a number of a vCPU: its page table, or a register. */
static bool is_setting(const char *name)
{
    return strcmp(name, SETTING_PGTBL) == 0 || begins(name, SETTING_REG) ||
           begins(name, SETTING_EXTRA);
}

static void set_setting(struct parser *parser, const struct token *variable,
                        const struct token *value)
{
    struct settings *settings = &parser->conf->settings;
    struct setting setting = {variable->text, 0, variable->place};

    if (parser->context == CONTEXT_VDEV)
        place_fail(variable->place, "set %s: not a variable of a vdev", variable->text);
    if (parser->context == CONTEXT_CPU)
        settings = &parser_cpu(parser)->settings;
    if (!number_plain(value->text, &setting.value))
        bad_value(parser, value, "a number of at most 64 bits");
    settings_put(settings, setting);
}

void set_take(struct parser *parser)
{
    const struct token *variable = parser_argument(parser);

    if (strcmp(variable->text, "?") == 0) {
        usage_variables(stdout);
        exit(EXIT_SUCCESS);
    }
    const struct token *value = parser_argument(parser);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        if (strcmp(variable->text, variables[i].name) == 0) {
            variables[i].set(parser, value);
            return;
        }
    }
    if (begins(variable->text, ERRATUM_PREFIX))
        set_erratum(parser, variable, value);
    else if (is_setting(variable->text))
        set_setting(parser, variable, value);
    else if (begins(variable->text, "sim-"))
        place_fail(variable->place, "set %s: no such simulator variable", variable->text);
    else
        place_warn(variable->place, "set %s: not simulated", variable->text);
}
