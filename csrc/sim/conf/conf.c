/*
 * The life of a configuration: reads the command line, which may include files, fills in
 * defaults and checks what only the whole configuration shows; answers questions about it;
 * frees it. The options are read by the other files of this directory.
 */
#include "conf/conf.h"

#include "conf/parser.h"
#include "dump/regs.h"
#include "guest/file.h"

#include <stdlib.h>

static void read_options(struct parser *parser)
{
    const struct tokens *tokens = &parser->conf->tokens;

    while (parser->next < tokens->count) {
        parser->word = &tokens->items[parser->next++];
        option_take(parser);
    }
}

static void complete(struct conf *conf, bool logger_given)
{
    if (!conf->system)
        place_fail(conf->tokens.count ? conf->tokens.items[conf->tokens.count - 1].place
                                      : (struct place){0},
                   "no system given (--help shows how)");
    if (!logger_given)
        conf->logger.err_levels = LOGGER_DEFAULT_LEVELS;
    conf->logger.system = conf->system;
    guest_complete(conf);
    if (conf->cpu_count == 0) {
        conf->cpus = place_grow(NULL, 0, sizeof *conf->cpus);
        conf->cpu_count = 1;
    }
    ram_place(conf);
    if (conf->guest.kind != GUEST_QEMU)
        load_read(conf);
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

const char *conf_machine_name(const struct conf *conf)
{
    return conf->machine == MACHINE_AARCH64 ? "aarch64" : "x86_64";
}

/* The index of the block that the report takes the end of; the number of blocks if there is
   none. */
static size_t report_block(const struct conf *conf)
{
    size_t block = conf->guest.kind == GUEST_NONE ? conf->ram_count : 0;

    while (block > 0 && conf->ram[block - 1].size < 2 * CONF_REPORT)
        block--;
    return block > 0 ? block - 1 : conf->ram_count;
}

uint64_t conf_memory_size(const struct conf *conf, size_t block)
{
    return conf->ram[block].size - (block == report_block(conf) ? CONF_REPORT : 0);
}

/* The first address after all blocks; 0 if there is none. */
static uint64_t end_of_ram(const struct conf *conf)
{
    uint64_t last = 0;

    for (size_t i = 0; i < conf->ram_count; i++) {
        uint64_t end = conf->ram[i].base + (conf->ram[i].size - 1);
        last = end > last ? end : last;
    }
    return last + 1;
}

bool conf_report_address(const struct conf *conf, uint64_t *address)
{
    size_t block = report_block(conf);

    if (block < conf->ram_count)
        *address = conf->ram[block].base + conf_memory_size(conf, block);
    else if (conf->guest.kind != GUEST_NONE)
        *address = end_of_ram(conf) + CONF_REPORT; /* with a gap */
    else
        return false;
    return *address >= CONF_REPORT && UINT64_MAX - *address >= CONF_REPORT;
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
    guest_file_close(conf->guest.file);
    free(conf->cpus);
    free(conf->vdevs);
    free(conf->ram);
    text_free(&conf->template);
    tokens_free(&conf->tokens);
    *conf = (struct conf){0};
}
