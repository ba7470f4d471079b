/*
 * The options of a configuration: a table of their names, their arguments, and the entries
 * they belong to; and a function for each option that is simulated. The grammar is that of
 * docs/configuration.md; lua/qvm/host/conf_reader.lua has the same.
 */
#include "conf/parser.h"

#include <string.h>

/* The number of arguments of an option that is not simulated, or: REST: the rest of its
   line, up to an option; LOAD: `load` and a file, or `generate`, or else like REST. */
enum { REST = -1, LOAD = -2 };

enum { MOST_OPTIONS = 65536, MOST_VDEVS = 1024 };

#define OF(context) (1u << (context))

struct option {
    const char *word;
    void (*take)(struct parser *parser); /* NULL: not simulated */
    unsigned contexts; /* bits of the entries it belongs to; 0: it may stand anywhere */
    int arguments;     /* without `take`: see above */
};

static const struct option *find_option(const struct token *token);
static const struct token *skip_load(struct parser *parser);

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

    /* An argument may stand on the next line. An option there means that it is missing. */
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

    if (strncmp(name, "name=", 5) == 0)
        place_fail(parser->word->place, "'system %s' is not the syntax: write 'system %s'",
                   name, name + 5);
    if (parser->options > 1)
        place_fail(parser->word->place, "'system' must be the first option");
    parser->conf->system = name;
}

static void take_cpu(struct parser *parser)
{
    struct conf *conf = parser->conf;

    if (conf->cpu_count == CONF_MOST_CPUS)
        place_fail(parser->word->place, "cpu: more than %d", CONF_MOST_CPUS);
    conf->cpus = place_grow(conf->cpus, conf->cpu_count, sizeof *conf->cpus);
    conf->cpu_count++;
    parser->context = CONTEXT_CPU;
}

/* "pl011", "vdev-pl011" and "vdev-pl011.so" are one type. */
static const char *type_of(char *text)
{
    size_t length = strlen(text);

    if (length > 3 && strcmp(text + length - 3, ".so") == 0)
        text[length - 3] = '\0';
    return strncmp(text, "vdev-", 5) == 0 && text[5] ? text + 5 : text;
}

static void take_vdev(struct parser *parser)
{
    struct conf *conf = parser->conf;
    const struct token *token = parser_argument(parser);

    if (conf->vdev_count == MOST_VDEVS)
        place_fail(parser->word->place, "vdev: more than %d", MOST_VDEVS);
    conf->vdevs = place_grow(conf->vdevs, conf->vdev_count, sizeof *conf->vdevs);
    conf->vdevs[conf->vdev_count++] =
        (struct vdev){.type = type_of(token->text), .place = token->place, .debug = true};
    parser->context = CONTEXT_VDEV;
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
    struct vdev *vdev = parser_vdev(parser);

    vdev->name = NULL;
    if (token->text[0] == '/') {
        place_warn(token->place,
                   "name: an absolute path is not simulated: no %s is created",
                   parser_argument(parser)->text);
        return;
    }
    const char *name = take_name(parser);
    if (strcmp(name, "env") == 0) /* the directory's own */
        place_fail(token->place, "name: '%s' is reserved", name);
    for (struct vdev *other = parser->conf->vdevs; other < vdev; other++) {
        if (other->name && strcmp(other->name, name) == 0)
            place_fail(token->place, "name: two vdevs named '%s'", name);
    }
    vdev->name = name;
}

static void take_sub_name(struct parser *parser)
{
    if (parser->context == CONTEXT_VDEV)
        name_vdev(parser);
    else
        parser_cpu(parser)->name = parser_argument(parser)->text;
}

/* An option of a vdev; it replaces an earlier one of the same name. Of a pass or reserve it
   has no effect. */
static void take_detail(struct parser *parser)
{
    struct detail detail = {parser->word->text, parser_argument(parser)->text};

    if (parser->context != CONTEXT_VDEV)
        return;
    struct vdev *vdev = parser_vdev(parser);
    for (size_t i = 0; i < vdev->detail_count; i++) {
        if (strcmp(vdev->details[i].word, detail.word) == 0) {
            vdev->details[i] = detail;
            return;
        }
    }
    vdev->details = place_grow(vdev->details, vdev->detail_count, sizeof detail);
    vdev->details[vdev->detail_count++] = detail;
}

/* Whether it is simulated depends on the guest: see guest_complete(). */
static void take_initrd(struct parser *parser)
{
    struct guest_conf *guest = &parser->conf->guest;
    const struct token *file = skip_load(parser);
    uint64_t address;

    guest->initrd_place = parser->word->place;
    if (file)
        (void)load_split(file->text, file->place, "initrd", &guest->initrd, &address);
    else
        place_warn(guest->initrd_place, "option 'initrd' is not simulated");
}

static void take_cmdline(struct parser *parser)
{
    parser->conf->guest.cmdline_place = parser->word->place;
    parser->conf->guest.cmdline = parser_argument(parser)->text;
}

static void open_unused(struct parser *parser, enum context context)
{
    place_warn(parser->word->place, "option '%s' is not simulated", parser->word->text);
    parser->context = context;
}

static void take_pass(struct parser *parser)
{
    open_unused(parser, CONTEXT_PASS);
}

static void take_reserve(struct parser *parser)
{
    open_unused(parser, CONTEXT_RESERVE);
}

static const struct option options[] = {
    {"system", take_system, 0, 0},
    {"ram", ram_take, 0, 0},
    {"cpu", take_cpu, 0, 0},
    {"load", load_take, 0, 0},
    {"dump", take_dump, 0, 0},
    {"logger", take_logger, 0, 0},
    {"vdev", take_vdev, 0, 0},
    {"set", set_take, 0, 0},
    {"pass", take_pass, 0, 0},
    {"reserve", take_reserve, 0, 0},
    {"rom", NULL, 0, 1},
    {"cmdline", take_cmdline, 0, 0},
    {"initrd", take_initrd, 0, 0},
    {"fdt", NULL, 0, LOAD},
    {"data", NULL, 0, LOAD},
    {"guest", NULL, 0, LOAD},
    {"unsupported", NULL, 0, 2},
    {"safety", NULL, 0, 1},
    {"dryrun", NULL, 0, 0},
    {"debug", NULL, 0, REST},
    {"runmask", take_unused, OF(CONTEXT_CPU), 0},
    {"sched", take_unused, OF(CONTEXT_CPU), 0},
    {"partition", take_unused, OF(CONTEXT_CPU), 0},
    {"cluster", take_unused, OF(CONTEXT_CPU), 0},
    {"name", take_sub_name, OF(CONTEXT_CPU) | OF(CONTEXT_VDEV), 0},
    {"loc", take_detail, OF(CONTEXT_VDEV) | OF(CONTEXT_PASS) | OF(CONTEXT_RESERVE), 0},
    {"intr", take_detail, OF(CONTEXT_VDEV) | OF(CONTEXT_PASS), 0},
    {"hostdev", take_detail, OF(CONTEXT_VDEV), 0},
    {"peer", take_detail, OF(CONTEXT_VDEV), 0},
};

/* The option whose name is the first `length` bytes of a text. */
static const struct option *find_name(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strlen(options[i].word) == length &&
            strncmp(text, options[i].word, length) == 0)
            return &options[i];
    }
    return NULL;
}

static const struct option *find_option(const struct token *token)
{
    return token->quoted ? NULL : find_name(token->text, strlen(token->text));
}

static bool fits(const struct parser *parser, const struct option *option)
{
    return option && (!option->contexts || option->contexts & OF(parser->context));
}

/* The next token if it is on the same line as the option being read, else NULL. The command
   line is one line. */
static const struct token *next_on_line(const struct parser *parser)
{
    const struct tokens *tokens = &parser->conf->tokens;
    const struct token *token = &tokens->items[parser->next];

    if (parser->next == tokens->count || token->source != parser->word->source ||
        token->starts_line)
        return NULL;
    return token;
}

/* Skips the rest of the line, up to an option. */
static void skip_rest(struct parser *parser)
{
    const struct token *token;

    while ((token = next_on_line(parser)) && !fits(parser, find_option(token)))
        parser->next++;
}

/* Skips "load [address,]file" or what stands in its place. Returns the file; NULL: none. */
static const struct token *skip_load(struct parser *parser)
{
    const struct token *token = next_on_line(parser);

    if (token && strcmp(token->text, "load") == 0) {
        parser->next++;
        return parser_argument(parser);
    }
    if (token && strcmp(token->text, "generate") == 0)
        parser->next++;
    else
        skip_rest(parser);
    return NULL;
}

static void skip(struct parser *parser, int arguments)
{
    for (int i = 0; i < arguments; i++)
        (void)parser_argument(parser);
    if (arguments == REST)
        skip_rest(parser);
    else if (arguments == LOAD)
        (void)skip_load(parser);
}

/* Reports `sched=8` that is written for `sched 8`. */
static void check_blanks(const struct token *word)
{
    const char *equals = word->quoted ? NULL : strchr(word->text, '=');
    size_t length = equals ? (size_t)(equals - word->text) : 0;

    if (equals && find_name(word->text, length))
        place_fail(word->place, "'%s' is not the syntax: write '%.*s %.*s'", word->text,
                   (int)length, word->text, (int)strcspn(equals + 1, ","), equals + 1);
}

void option_take(struct parser *parser)
{
    const struct option *option = find_option(parser->word);
    const char *word = parser->word->text;

    if (++parser->options > MOST_OPTIONS)
        place_fail(parser->word->place, "more than %d options", MOST_OPTIONS);
    if (fits(parser, option) && option->take) {
        option->take(parser);
        return;
    }
    if (!option) {
        check_blanks(parser->word);
        place_warn(parser->word->place, "unknown option '%s' ignored", word);
    } else if (!option->take) {
        place_warn(parser->word->place, "option '%s' is not simulated", word);
    } else {
        place_warn(parser->word->place, "option '%s' does not belong here, ignored", word);
    }
    skip(parser, option && !option->take ? option->arguments : REST);
}
