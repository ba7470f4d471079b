/*
 * Messages and the help. A message about the configuration is one line that begins with
 * "qvm:" and the place: file and line, or the number of the argument.
 */
#define _GNU_SOURCE
#include "conf/message.h"

#include "util/file.h"
#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages contain words of the configuration, and quoted words can contain newlines:
   control characters are replaced, so that a message is one line. */
static void write_message(struct place place, const char *kind, const char *format,
                          va_list args)
{
    char message[1024];
    struct text line = {0};

    (void)vsnprintf(message, sizeof message, format, args);
    text_string(&line, "qvm: ");
    if (place.file) {
        text_clean(&line, place.file);
        text_printf(&line, ":%lu: ", place.line);
    } else if (place.line) {
        text_printf(&line, "argument %lu: ", place.line);
    }
    text_string(&line, kind);
    text_clean(&line, message);
    text_string(&line, "\n");
    (void)file_write(STDERR_FILENO, line.data, line.length);
    text_free(&line);
}

void place_warn(struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(place, "warning: ", format, args);
    va_end(args);
}

_Noreturn void place_fail(struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(place, "", format, args);
    va_end(args);
    exit(EXITCODE_CONFIG);
}

/* The capacity doubles: the array is full when the count is a power of two. */
void *place_grow(void *items, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    char *larger = is_full ? reallocarray(items, count ? 2 * count : 1, size) : items;

    if (!larger) {
        (void)fputs("qvm: out of memory\n", stderr);
        exit(EXITCODE_BEFORE_GUEST);
    }
    memset(larger + count * size, 0, size);
    return larger;
}

static const char synopsis[] =
    "usage: qvm [@FILE | OPTION ARGUMENT...]...\n"
    "A simulated QNX Hypervisor VM for Linux: its files, signals and dumps. No guest\n"
    "runs, unless QEMU runs one (sim-guest).\n"
    "This is not QNX. It serves $QVM_ROOT/SYSTEM (default root /dev/qvm) until told\n"
    "to quit. Example: qvm system linux1 ram 256M cpu cpu dump /tmp\n"
    "\n"
    "options, in a .qvmconf file or as arguments:\n"
    "  system NAME             the VM's name (required)\n"
    "  ram [ADDRESS,]SIZE      memory, with K, M, G; repeat for more blocks (16M)\n"
    "  cpu [sched P] [runmask M] [name N]...   a vCPU; repeat for more (one)\n"
    "  vdev TYPE [name N] [loc L] [intr I] [hostdev D] [peer P]\n"
    "  dump DIRECTORY | dump \"|COMMAND\"        destination of guest dumps\n"
    "  logger FILTER[,FILTER...] stdout|stderr|slog|none   (slog goes to stderr)\n"
    "  load [ADDRESS,]FILE     an ELF file's segments; with ADDRESS any file as it is\n"
    "                          (sim-guest qemu: the kernel)\n"
    "  set VARIABLE VALUE      of the cpu or vdev before it, else of the VM\n"
    "  initrd load FILE | cmdline TEXT         for sim-guest qemu\n"
    "  others                  ignored with a warning; see docs/configuration.md\n"
    "\n";

static const char variables[] =
    "variables of set:\n"
    "  debug on|off                    of a vdev: in the status text (on)\n"
    "  sim-machine aarch64|x86_64      the guest's machine (aarch64)\n"
    "  sim-note old|new                form of a dump's note; new: SDP 8 (new)\n"
    "  sim-env files|fuse              serve env as a file, or with FUSE (files)\n"
    "  sim-dump-seconds N              writing a dump takes about N seconds (0)\n"
    "  sim-env-template PATH           serve this file's bytes as env\n"
    "  sim-guest qemu|FILE             QEMU runs a guest; or the guest of a dump\n"
    "  sim-guest-accel tcg|kvm         how QEMU runs it (tcg)\n"
    "  sim-guest-qmp PATH              a socket for another of QEMU's monitors\n"
    "  sim-erratum-ID on|off|auto|NUMBER       an erratum, of the VM or a cpu\n"
    "  sim-pgtbl ADDRESS               page table in a dump, of all cpus or one\n"
    "  sim-reg-NAME NUMBER             a register such as pc, sp, x29, rip, rsp, rbp\n"
    "  sim-extra-NAME NUMBER           an extra register (SDP 8), not a default one\n";

/* In the form that a qvm of version 8.0 prints. */
static const char listed[] = "allowed set variables\n"
                             "    debug                          (boolean, vdev)\n"
                             "    sim-machine                    (string, global)\n"
                             "    sim-note                       (string, global)\n"
                             "    sim-env                        (string, global)\n"
                             "    sim-dump-seconds               (string, global)\n"
                             "    sim-env-template               (string, global)\n"
                             "    sim-guest                      (string, global)\n"
                             "    sim-guest-accel                (string, global)\n"
                             "    sim-guest-qmp                  (string, global)\n"
                             "    sim-erratum-ID                 (string, global, cpu)\n"
                             "    sim-pgtbl                      (number, global, cpu)\n"
                             "    sim-reg-NAME                   (number, global, cpu)\n"
                             "    sim-extra-NAME                 (number, global, cpu)\n";

static const char rest[] =
    "\n"
    "signals: SIGUSR1 status, SIGUSR2 dump; SIGTERM, SIGINT end (0), SIGQUIT (3)\n"
    "with QEMU, SIGTERM and SIGINT press the power button, SIGQUIT cuts the power\n"
    "exit codes: 64 cannot start, 65 configuration error, 96 failed later\n"
    "commands on standard input, one per line, answered by \"ok COMMAND\" when done, or\n"
    "by \"failed COMMAND\", with the reason in the log:\n"
    "  suspend  vCPUs from 1 on are off        resume    undo suspend and hang\n"
    "  hang     env blocks its readers, SIGUSR1 and SIGUSR2 do nothing\n"
    "  status   same as SIGUSR1                dump      same as SIGUSR2\n"
    "  reboot   disappear for 0.2 seconds      shutdown  same as SIGTERM\n"
    "with sim-env fuse also:\n"
    "  hang-open, hang-close   as hang, in open() or close()\n"
    "  trickle  one byte for each read()       opens     list who opened what\n";

void usage_variables(FILE *out)
{
    (void)fputs(listed, out);
}

void usage_print(FILE *out)
{
    (void)fputs(synopsis, out);
    (void)fputs(variables, out);
    (void)fputs(rest, out);
}
