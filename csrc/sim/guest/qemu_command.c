/*
 * Translates a configuration into QEMU's options. Machines and vdevs without a counterpart
 * in QEMU are left out with a warning. The memory is one file, shared with this process,
 * which reads it for dumps; the monitor and the gdb stub are inherited sockets.
 */
#include "guest/qemu_command.h"

#include "conf/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct command_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct command_line *line, const char *format, ...)
{
    char word[4096];
    va_list args;

    va_start(args, format);
    int length = vsnprintf(word, sizeof word, format, args);
    va_end(args);
    char *copy = length >= 0 && (size_t)length < sizeof word ? malloc(sizeof word) : NULL;
    if (!copy || line->count == COMMAND_MOST_WORDS) {
        free(copy);
        line->failed = true;
        return;
    }
    memcpy(copy, word, (size_t)length + 1);
    line->words[line->count++] = copy;
}

/* A value within an option: QEMU takes a doubled comma for a comma. */
struct value {
    char text[4096];
};

static struct value quoted(struct command_line *line, const char *string)
{
    struct value value = {{0}};
    size_t used = 0;

    for (; *string && used + 2 < sizeof value.text; string++) {
        value.text[used++] = *string;
        if (*string == ',')
            value.text[used++] = ',';
    }
    line->failed = line->failed || *string;
    return value;
}

uint64_t command_memory_size(const struct conf *conf)
{
    uint64_t size = 0;

    for (size_t i = 0; i < conf->ram_count; i++) {
        uint64_t end = conf->ram[i].base - conf_ram_base(conf) + conf->ram[i].size;
        size = end > size ? end : size;
    }
    return size;
}

static const char *detail(const struct vdev *vdev, const char *word)
{
    for (size_t i = 0; i < vdev->detail_count; i++) {
        if (strcmp(vdev->details[i].word, word) == 0)
            return vdev->details[i].value;
    }
    return NULL;
}

/* A console's other end: ">-" is standard output, ">FILE" a file, else a character device,
   as QNX writes them. */
static void add_console(struct command_line *line, const struct vdev *vdev, size_t number)
{
    const char *hostdev = detail(vdev, "hostdev");

    add(line, "-chardev");
    if (!hostdev)
        add(line, "null,id=console%zu", number);
    else if (strcmp(hostdev, ">-") == 0)
        add(line, "file,id=console%zu,path=/proc/self/fd/1,append=on", number);
    else if (hostdev[0] == '>')
        add(line, "file,id=console%zu,path=%s,append=on", number,
            quoted(line, hostdev + 1).text);
    else
        add(line, "serial,id=console%zu,path=%s", number, quoted(line, hostdev).text);
}

/* Adds a vdev, as number `number` of QEMU's. False: QEMU has no counterpart. */
static bool add_vdev(struct command_line *line, const struct conf *conf,
                     const struct vdev *vdev, size_t number)
{
    bool arm = conf->machine == MACHINE_AARCH64;
    /* virtio over MMIO, as QNX has it, on aarch64 only: QEMU's PC has PCI. */
    const char *bus = arm ? "device" : "pci";
    const char *type = vdev->type;
    const char *hostdev = detail(vdev, "hostdev");

    if (strcmp(type, arm ? "pl011" : "ser8250") == 0) {
        add_console(line, vdev, number);
        add(line, "-serial");
        add(line, "chardev:console%zu", number);
    } else if (strcmp(type, "virtio-console") == 0) {
        add_console(line, vdev, number);
        add(line, "-device");
        add(line, "virtio-serial-%s", bus);
        add(line, "-device");
        add(line, "virtconsole,chardev=console%zu", number);
    } else if (strcmp(type, "virtio-blk") == 0 && hostdev) {
        add(line, "-drive");
        add(line, "if=none,format=raw,id=disk%zu,file=%s", number,
            quoted(line, hostdev).text);
        add(line, "-device");
        add(line, "virtio-blk-%s,drive=disk%zu", bus, number);
    } else if (strcmp(type, "virtio-net") == 0) {
        add(line, "-netdev");
        add(line, "user,restrict=on,id=net%zu", number); /* the host is not reachable */
        add(line, "-device");
        add(line, "virtio-net-%s,netdev=net%zu", bus, number);
    } else if (strcmp(type, "virtio-entropy") == 0) {
        add(line, "-device");
        add(line, "virtio-rng-%s", bus);
    } else {
        return false;
    }
    return true;
}

static void add_vdevs(struct command_line *line, const struct conf *conf)
{
    bool has_pl011 = false;

    for (size_t i = 0; i < conf->vdev_count; i++) {
        const struct vdev *vdev = &conf->vdevs[i];
        bool is_pl011 = strcmp(vdev->type, "pl011") == 0;
        /* The machine "virt" has one PL011. */
        if ((is_pl011 && has_pl011) || !add_vdev(line, conf, vdev, i))
            place_warn(vdev->place,
                       "vdev %s: QEMU has none, or no more: the guest does not see it",
                       vdev->type);
        has_pl011 = has_pl011 || is_pl011;
    }
}

static void add_machine(struct command_line *line, const struct conf *conf)
{
    bool arm = conf->machine == MACHINE_AARCH64;

    add(line, "qemu-system-%s", conf_machine_name(conf));
    add(line, "-machine");
    add(line, "%s,memory-backend=ram", arm ? "virt" : "q35");
    add(line, "-accel");
    add(line, "%s", conf->guest.kvm ? "kvm" : "tcg");
    add(line, "-cpu");
    if (arm)
        add(line, "%s", conf->guest.kvm ? "host" : "cortex-a57");
    else /* as most guests: four levels of page tables */
        add(line, "max,la57=off%s", conf->guest.kvm ? ",arch-capabilities=off" : "");
    add(line, "-smp");
    add(line, "%zu", conf->cpu_count);
}

static void add_memory(struct command_line *line, const struct conf *conf, int fd)
{
    uint64_t kilobytes = command_memory_size(conf) >> 10;

    add(line, "-m");
    add(line, "%" PRIu64 "K", kilobytes);
    add(line, "-object");
    add(line,
        "memory-backend-file,id=ram,share=on,size=%" PRIu64 "K,mem-path=/proc/self/fd/%d",
        kilobytes, fd);
}

static void add_kernel(struct command_line *line, const struct conf *conf)
{
    add(line, "-kernel");
    add(line, "%s", conf->loads.files[0].path);
    if (conf->guest.initrd) {
        add(line, "-initrd");
        add(line, "%s", conf->guest.initrd);
    }
    if (conf->guest.cmdline) {
        add(line, "-append");
        add(line, "%s", conf->guest.cmdline);
    }
}

void command_compose(const struct conf *conf, const struct command_fds *fds,
                     struct command_line *line)
{
    static const char *const rest[] = {
        "-no-user-config", "-nodefaults", "-display", "none", "-nic", "none"};

    add_machine(line, conf);
    add_memory(line, conf, fds->memory);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        add(line, "%s", rest[i]);
    add_kernel(line, conf);
    add_vdevs(line, conf);
    add(line, "-chardev");
    add(line, "socket,id=qmp,fd=%d", fds->qmp);
    add(line, "-mon");
    add(line, "chardev=qmp,mode=control");
    add(line, "-chardev");
    add(line, "socket,id=gdb,fd=%d", fds->gdb);
    add(line, "-gdb");
    add(line, "chardev:gdb");
    if (conf->guest.qmp) {
        add(line, "-qmp");
        add(line, "unix:%s,server=on,wait=off", quoted(line, conf->guest.qmp).text);
    }
    add(line, "-S"); /* the guest starts once its vCPUs are known */
}

void command_free(struct command_line *line)
{
    while (line->count > 0)
        free(line->words[--line->count]);
}
