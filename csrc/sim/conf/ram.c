/*
 * The option `ram`: blocks of guest memory. Blocks without an address are placed after all
 * options are read, one after the other; blocks that overlap are an error.
 */
#include "conf/number.h"
#include "conf/parser.h"

#include <inttypes.h>
#include <string.h>

#define RAM_DEFAULT_SIZE (UINT64_C(16) << 20)
#define RAM_MOST         (UINT64_C(1) << 48) /* in total; file offsets stay far from overflow */
#define RAM_BASE_AARCH64 UINT64_C(0x80000000)

static uint64_t take_size(struct place place, const char *string, const char *what)
{
    uint64_t value;

    if (!number_size(string, &value))
        place_fail(place, "ram: bad %s '%s'", what, string);
    if (value % CONF_PAGE)
        place_fail(place, "ram: %s '%s' is not a multiple of %d", what, string, CONF_PAGE);
    return value;
}

static void check(const struct ram *ram, uint64_t total)
{
    if (ram->size == 0)
        place_fail(ram->place, "ram: a block of size 0");
    if (ram->size > RAM_MOST - total)
        place_fail(ram->place, "ram: more than 256 TiB in all");
    if (ram->size - 1 > UINT64_MAX - ram->base)
        place_fail(ram->place, "ram: the block reaches past the last address");
}

static void add(struct conf *conf, struct ram ram)
{
    uint64_t total = 0;

    for (size_t i = 0; i < conf->ram_count; i++)
        total += conf->ram[i].size;
    check(&ram, total);
    if (conf->ram_count == CONF_MOST_RAM_BLOCKS)
        place_fail(ram.place, "ram: more than %d blocks", CONF_MOST_RAM_BLOCKS);
    conf->ram = place_grow(conf->ram, conf->ram_count, sizeof ram);
    conf->ram[conf->ram_count++] = ram;
}

void ram_take(struct parser *parser)
{
    const struct token *token = parser_argument(parser);
    struct ram ram = {.place = token->place};
    char *comma = strchr(token->text, ',');

    if (comma) {
        *comma = '\0';
        ram.fixed = true;
        ram.base = take_size(ram.place, token->text, "address");
    }
    ram.size = take_size(ram.place, comma ? comma + 1 : token->text, "size");
    add(parser->conf, ram);
}

static bool overlap(const struct ram *a, const struct ram *b)
{
    /* By last addresses: the end of a block can be 2^64. */
    return a->base <= b->base + (b->size - 1) && b->base <= a->base + (a->size - 1);
}

void ram_place(struct conf *conf)
{
    uint64_t next = conf->machine == MACHINE_AARCH64 ? RAM_BASE_AARCH64 : 0;

    if (conf->ram_count == 0)
        add(conf, (struct ram){.size = RAM_DEFAULT_SIZE});
    for (size_t i = 0; i < conf->ram_count; i++) {
        struct ram *ram = &conf->ram[i];
        if (!ram->fixed) {
            ram->base = next;
            next += ram->size;
        }
        for (size_t j = 0; j < i; j++) {
            if (overlap(ram, &conf->ram[j]))
                place_fail(ram->place,
                           "ram: the block at 0x%" PRIx64 " overlaps the one at 0x%" PRIx64,
                           ram->base, conf->ram[j].base);
        }
    }
}
