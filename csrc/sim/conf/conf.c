#include "conf/conf.h"

#include "conf/parser.h"
#include "dump/regs.h"

#include <stdlib.h>
#include <string.h>

/* Whether an option ends the sub-options of a cpu or vdev, or is one. */
enum kind { KIND_GLOBAL, KIND_OF_CPU, KIND_OF_VDEV, KIND_OF_BOTH };

struct option {
    const char *word;
    enum kind kind;
    void (*take)(struct parser *parser); /* NULL: known, but not simulated */
};

static const struct option *find_option(const struct token *token);

struct cpu *parser_cpu(const struct parser *parser)
{
    return &parser->conf->cpus[parser->conf->cpu_count - 1];
}

struct vdev *parser_vdev(const struct parser *parser)
{
    return &parser->conf->vdevs[parser->conf->vdev_count - 1];
}

const struct token *parser_argument(struct parser *parser)
{
    const struct tokens *tokens = &parser->conf->tokens;
    const struct token *token = &tokens->items[parser->next];

    /* An argument may stand on the next line, but an option there shows that it was left
       out. */
    if (parser->next == tokens->count || token->source != parser->word->source ||
        (token->starts_line && find_option(token)))
        place_fail(parser->word->place, "%s: missing argument", parser->word->text);
    parser->next++;
    return token;
}

/* A name that becomes one component of a path. */
static const char *take_name(struct parser *parser)
{
    const struct token *token = parser_argument(parser);
    const char *name = token->text;

    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        place_fail(token->place, "%s: bad name '%s'", parser->word->text, name);
    return name;
}

static void take_system(struct parser *parser)
{
    const char *name = take_name(parser);

    if (parser->conf->system)
        place_fail(parser->word->place, "system: given before, as '%s'",
                   parser->conf->system);
    parser->conf->system = name;
}

static void take_cpu(struct parser *parser)
{
    struct conf *conf = parser->conf;

    if (conf->cpu_count == CONF_MOST_CPUS)
        place_fail(parser->word->place, "cpu: more than %d", CONF_MOST_CPUS);
    conf->cpus = place_grow(conf->cpus, conf->cpu_count, sizeof *conf->cpus);
    conf->cpu_count++;
    parser->set_context = parser->open_context = CONTEXT_CPU;
}

static void take_vdev(struct parser *parser)
{
    struct conf *conf = parser->conf;
    const char *type = parser_argument(parser)->text;

    conf->vdevs = place_grow(conf->vdevs, conf->vdev_count, sizeof *conf->vdevs);
    conf->vdevs[conf->vdev_count++] = (struct vdev){.type = type, .debug = true};
    parser->set_context = parser->open_context = CONTEXT_VDEV;
}

static void take_dump(struct parser *parser)
{
    const struct token *token = parser_argument(parser);

    if (!*token->text || strcmp(token->text, "|") == 0)
        place_fail(token->place, "dump: empty argument");
    parser->conf->dump = token->text;
}

static unsigned *destination(struct parser *parser, const struct token *token,
                             unsigned *none)
{
    struct logger *logger = &parser->conf->logger;

    if (strcmp(token->text, "stdout") == 0)
        return &logger->out_levels;
    if (strcmp(token->text, "none") == 0)
        return none;
    if (strcmp(token->text, "slog") == 0 && !parser->slog_warned) {
        place_warn(token->place, "logger: slog is not simulated, stderr is used");
        parser->slog_warned = true;
    } else if (strcmp(token->text, "slog") != 0 && strcmp(token->text, "stderr") != 0) {
        place_fail(token->place, "logger: unknown destination '%s'", token->text);
    }
    return &logger->err_levels;
}

static void take_logger(struct parser *parser)
{
    const struct token *filters = parser_argument(parser);
    const struct token *target = parser_argument(parser);
    unsigned none = 0;
    unsigned levels;

    if (!logger_filters(filters->text, &levels))
        place_fail(filters->place, "logger: unknown filter in '%s'", filters->text);
    *destination(parser, target, &none) |= levels;
    parser->logger_given = true;
}

/* Takes an argument that has no effect here. */
static void take_unused(struct parser *parser)
{
    (void)parser_argument(parser);
}

static void name_vdev(struct parser *parser)
{
    const struct token *token = &parser->conf->tokens.items[parser->next];
    const char *name = take_name(parser);
    struct vdev *vdev = parser_vdev(parser);

    if (strcmp(name, "env") == 0) /* the directory's own */
        place_fail(token->place, "name: '%s' is reserved", name);
    if (vdev->name)
        place_fail(token->place, "name: the vdev has one, '%s'", vdev->name);
    for (struct vdev *other = parser->conf->vdevs; other < vdev; other++) {
        if (other->name && strcmp(other->name, name) == 0)
            place_fail(token->place, "name: two vdevs named '%s'", name);
    }
    vdev->name = name;
}

static void take_sub_name(struct parser *parser)
{
    if (parser->open_context == CONTEXT_VDEV)
        name_vdev(parser);
    else
        parser_cpu(parser)->name = parser_argument(parser)->text;
}

static void take_detail(struct parser *parser)
{
    struct vdev *vdev = parser_vdev(parser);
    struct detail detail = {parser->word->text, parser_argument(parser)->text};

    vdev->details = place_grow(vdev->details, vdev->detail_count, sizeof detail);
    vdev->details[vdev->detail_count++] = detail;
}

static const struct option options[] = {
    {"system", KIND_GLOBAL, take_system},
    {"ram", KIND_GLOBAL, ram_take},
    {"cpu", KIND_GLOBAL, take_cpu},
    {"load", KIND_GLOBAL, load_take},
    {"dump", KIND_GLOBAL, take_dump},
    {"logger", KIND_GLOBAL, take_logger},
    {"vdev", KIND_GLOBAL, take_vdev},
    {"set", KIND_OF_BOTH, set_take},
    {"runmask", KIND_OF_CPU, take_unused},
    {"sched", KIND_OF_CPU, take_unused},
    {"name", KIND_OF_BOTH, take_sub_name},
    {"loc", KIND_OF_VDEV, take_detail},
    {"intr", KIND_OF_VDEV, take_detail},
    {"hostdev", KIND_OF_VDEV, take_detail},
    {"peer", KIND_OF_VDEV, take_detail},
    {"pass", KIND_GLOBAL, NULL},
    {"rom", KIND_GLOBAL, NULL},
    {"reserve", KIND_GLOBAL, NULL},
    {"cmdline", KIND_GLOBAL, NULL},
    {"initrd", KIND_GLOBAL, NULL},
    {"data", KIND_GLOBAL, NULL},
    {"unsupported", KIND_GLOBAL, NULL},
    {"debug", KIND_GLOBAL, NULL},
};

static const struct option *find_option(const struct token *token)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0] && !token->quoted; i++) {
        if (strcmp(token->text, options[i].word) == 0)
            return &options[i];
    }
    return NULL;
}

/* Skips the rest of the word's line. The command line has no lines: there, up to the next
   option that can follow, which after a global option is not one of the sub-options. */
static void skip_line(struct parser *parser, bool after_global)
{
    const struct tokens *tokens = &parser->conf->tokens;

    for (; parser->next < tokens->count; parser->next++) {
        const struct token *token = &tokens->items[parser->next];
        const struct option *option = find_option(token);
        if (token->source != parser->word->source || token->starts_line)
            return;
        if (!token->source && option &&
            (!after_global || option->kind == KIND_GLOBAL || option->take == set_take))
            return;
    }
}

static bool fits(const struct parser *parser, const struct option *option)
{
    switch (option->kind) {
    case KIND_OF_CPU: return parser->open_context == CONTEXT_CPU;
    case KIND_OF_VDEV: return parser->open_context == CONTEXT_VDEV;
    case KIND_OF_BOTH:
        return option->take == set_take || parser->open_context != CONTEXT_GLOBAL;
    case KIND_GLOBAL: break;
    }
    return true;
}

static void take_option(struct parser *parser)
{
    const struct option *option = find_option(parser->word);
    const char *word = parser->word->text;
    bool global = option && option->kind == KIND_GLOBAL;

    if (global)
        parser->open_context = CONTEXT_GLOBAL;
    if (option && option->take && fits(parser, option)) {
        option->take(parser);
        return;
    }
    if (!option)
        place_warn(parser->word->place, "unknown option '%s' ignored", word);
    else if (!option->take)
        place_warn(parser->word->place, "option '%s' is not simulated", word);
    else
        place_warn(parser->word->place, "option '%s' does not belong here, ignored", word);
    skip_line(parser, global);
}

static void read_options(struct parser *parser)
{
    const struct tokens *tokens = &parser->conf->tokens;

    while (parser->next < tokens->count) {
        parser->word = &tokens->items[parser->next++];
        take_option(parser);
    }
}

static void complete(struct conf *conf, bool logger_given)
{
    if (!conf->system)
        place_fail(conf->tokens.count ? conf->tokens.items[conf->tokens.count - 1].place
                                      : (struct place){0},
                   "no system given (--help shows how)");
    if (conf->cpu_count == 0) {
        conf->cpus = place_grow(NULL, 0, sizeof *conf->cpus);
        conf->cpu_count = 1;
    }
    if (!logger_given)
        conf->logger.err_levels = LOGGER_DEFAULT_LEVELS;
    conf->logger.system = conf->system;
    ram_place(conf);
    load_check(conf);
    regs_complete(conf);
}

void conf_read(struct conf *conf, int argc, char *const argv[])
{
    struct parser parser = {.conf = conf};

    conf->new_note = true;
    for (int i = 1; i < argc; i++)
        tokens_add(&conf->tokens, argv[i], (unsigned long)i);
    read_options(&parser);
    complete(conf, parser.logger_given);
}

uint64_t conf_memory_size(const struct conf *conf, size_t block)
{
    return conf->ram[block].size - (block + 1 == conf->ram_count ? CONF_REPORT : 0);
}

bool conf_setting(const struct conf *conf, size_t cpu, const char *prefix, const char *name,
                  uint64_t *value)
{
    const struct setting *setting = settings_find(&conf->cpus[cpu].settings, prefix, name);

    if (!setting)
        setting = settings_find(&conf->settings, prefix, name);
    if (setting)
        *value = setting->value;
    return setting != NULL;
}

static void cpu_free(struct cpu *cpu)
{
    free(cpu->errata.items);
    free(cpu->settings.items);
}

void conf_free(struct conf *conf)
{
    for (size_t i = 0; i < conf->cpu_count; i++)
        cpu_free(&conf->cpus[i]);
    for (size_t i = 0; i < conf->vdev_count; i++)
        free(conf->vdevs[i].details);
    free(conf->errata.items);
    free(conf->settings.items);
    free(conf->extras);
    loads_free(&conf->loads);
    free(conf->cpus);
    free(conf->vdevs);
    free(conf->ram);
    text_free(&conf->template);
    tokens_free(&conf->tokens);
    *conf = (struct conf){0};
}
