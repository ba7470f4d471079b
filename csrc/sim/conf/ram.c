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
#define RAM_BASE_QEMU    UINT64_C(0x40000000) /* aarch64: QEMU's hw/arm/virt.c */
/* With this much or more, QEMU's machine "q35" divides the memory at 2 GiB. */
#define RAM_MOST_QEMU_X86 UINT64_C(0xb0000000)

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

uint64_t conf_ram_base(const struct conf *conf)
{
    if (conf->machine == MACHINE_X86_64)
        return 0;
    return conf->guest.kind == GUEST_QEMU ? RAM_BASE_QEMU : RAM_BASE_AARCH64;
}

/* QEMU's machines have their memory at a fixed address, in one piece. */
static void check_qemu(const struct conf *conf, const struct ram *ram)
{
    if (ram->base < conf_ram_base(conf))
        place_fail(ram->place, "ram: QEMU's memory begins at 0x%" PRIx64 " on %s",
                   conf_ram_base(conf), conf_machine_name(conf));
    if (conf->machine == MACHINE_X86_64 &&
        ram->base + (ram->size - 1) >= RAM_MOST_QEMU_X86 - 1)
        place_fail(ram->place,
                   "ram: with sim-guest qemu on x86_64, RAM ends below 0x%" PRIx64,
                   RAM_MOST_QEMU_X86);
}

void ram_place(struct conf *conf)
{
    uint64_t next = conf_ram_base(conf);

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
        if (conf->guest.kind == GUEST_QEMU)
            check_qemu(conf, ram);
    }
}

void ram_add(struct conf *conf, struct place place, uint64_t base, uint64_t size)
{
    if (base % CONF_PAGE || size % CONF_PAGE)
        place_fail(place,
                   "sim-guest: the block at 0x%" PRIx64 " of 0x%" PRIx64
                   " bytes is not made of pages of %d",
                   base, size, CONF_PAGE);
    add(conf, (struct ram){.base = base, .size = size, .fixed = true, .place = place});
}
