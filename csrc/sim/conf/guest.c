/*
 * What runs in the VM: the variables sim-guest, sim-guest-accel and sim-guest-qmp, and the
 * options that only matter if QEMU runs the guest. After all options, a dump supplies RAM
 * and vCPUs; for QEMU, the configuration is checked for what it needs.
 */
#include "guest/file.h"

#include "conf/parser.h"

#include <string.h>

static _Noreturn void bad_value(const struct token *value, const char *variable,
                                const char *wanted)
{
    place_fail(value->place, "set %s: bad value '%s', wanted %s", variable, value->text,
               wanted);
}

void guest_set(struct parser *parser, const struct token *value)
{
    struct guest_conf *guest = &parser->conf->guest;

    if (!*value->text)
        bad_value(value, "sim-guest", "qemu or a file");
    guest->kind = strcmp(value->text, "qemu") == 0 ? GUEST_QEMU : GUEST_FILE;
    guest->path = value->text;
    guest->place = value->place;
}

void guest_set_accel(struct parser *parser, const struct token *value)
{
    parser->conf->guest.kvm = strcmp(value->text, "kvm") == 0;
    if (!parser->conf->guest.kvm && strcmp(value->text, "tcg") != 0)
        bad_value(value, "sim-guest-accel", "tcg or kvm");
}

void guest_set_qmp(struct parser *parser, const struct token *value)
{
    parser->conf->guest.qmp = value->text;
}

/* QEMU loads the kernel to where the kernel's format says. */
static void complete_qemu(const struct conf *conf)
{
    const struct loads *loads = &conf->loads;

    if (loads->file_count == 0)
        place_fail(conf->guest.place,
                   "sim-guest qemu: no `load`, which names the guest's kernel");
    if (loads->file_count > 1)
        place_fail(loads->files[1].place,
                   "load: with sim-guest qemu there is one, the guest's kernel");
    if (loads->files[0].has_address)
        place_warn(loads->files[0].place, "load: QEMU chooses the kernel's address");
}

static void take_vcpus(struct conf *conf)
{
    const struct guest_conf *guest = &conf->guest;
    size_t count = guest_file_vcpus(guest->file);

    if (count > CONF_MOST_CPUS)
        place_fail(guest->place, "sim-guest: %s: %zu vCPUs, more than %d", guest->path,
                   count, CONF_MOST_CPUS);
    if (conf->cpu_count > 0 && conf->cpu_count != count)
        place_fail(guest->place, "sim-guest: %s: %zu vCPUs, but %zu `cpu`", guest->path,
                   count, conf->cpu_count);
    while (conf->cpu_count < count) {
        conf->cpus = place_grow(conf->cpus, conf->cpu_count, sizeof *conf->cpus);
        conf->cpu_count++;
    }
    for (size_t i = 0; i < count; i++) {
        if (!conf->cpus[i].name)
            conf->cpus[i].name = guest_file_process(guest->file, i);
    }
}

static void take_ram(struct conf *conf)
{
    uint64_t base;
    uint64_t size;

    if (conf->ram_count > 0)
        place_fail(conf->ram[0].place, "ram: the RAM is that of sim-guest %s",
                   conf->guest.path);
    for (size_t i = 0; guest_file_ram(conf->guest.file, &i, &base, &size);)
        ram_add(conf, conf->guest.place, base, size);
}

static void complete_file(struct conf *conf)
{
    struct guest_conf *guest = &conf->guest;
    char message[1024];

    if (conf->loads.file_count > 0)
        place_fail(conf->loads.files[0].place, "load: the memory is that of sim-guest %s",
                   guest->path);
    guest->file = guest_file_open(guest->path, message, sizeof message);
    if (!guest->file)
        place_fail(guest->place, "sim-guest: %s", message);
    const char *machine = guest_file_machine(guest->file);
    if (!machine || (strcmp(machine, "aarch64") != 0 && strcmp(machine, "x86_64") != 0))
        place_fail(guest->place, "sim-guest: %s: a guest of machine %s", guest->path,
                   machine ? machine : "unknown");
    conf->machine = strcmp(machine, "x86_64") == 0 ? MACHINE_X86_64 : MACHINE_AARCH64;
    take_ram(conf);
    take_vcpus(conf);
}

static void warn_unused(const char *given, struct place place, const char *option)
{
    if (given)
        place_warn(place, "option '%s' is not simulated", option);
}

void guest_complete(struct conf *conf)
{
    struct guest_conf *guest = &conf->guest;

    if (guest->kind == GUEST_QEMU) {
        complete_qemu(conf);
        return;
    }
    warn_unused(guest->initrd, guest->initrd_place, "initrd");
    warn_unused(guest->cmdline, guest->cmdline_place, "cmdline");
    if (guest->kind == GUEST_FILE)
        complete_file(conf);
}
