#include "conf/usage.h"

static const char synopsis[] =
    "usage: qvm [@FILE | OPTION ARGUMENT...]...\n"
    "A simulated QNX Hypervisor VM for Linux: its files, signals and dumps, no guest.\n"
    "This is not QNX. Serves $QVM_ROOT/SYSTEM (default root /dev/qvm) until told to\n"
    "quit. Example: qvm system linux1 ram 256M cpu cpu dump /tmp\n"
    "\n"
    "options, in a .qvmconf file or as arguments:\n"
    "  system NAME             the VM's name (required)\n"
    "  ram [ADDRESS,]SIZE      memory, with K, M, G; repeat for more blocks (16M)\n"
    "  cpu [sched P] [runmask M] [name N]...   a vCPU; repeat for more (one)\n"
    "  vdev TYPE [name N] [loc L] [intr I] [hostdev D] [peer P]\n"
    "  dump DIRECTORY | dump \"|COMMAND\"        where guest dumps go\n"
    "  logger FILTER[,FILTER...] stdout|stderr|slog|none   (slog goes to stderr)\n"
    "  load [ADDRESS,]FILE     an ELF file's PT_LOADs; with ADDRESS the file's bytes\n"
    "  set VARIABLE VALUE      for the cpu or vdev that it follows, else for the VM\n"
    "  others                  passed over with a warning; see docs/configuration.md\n"
    "\n";

static const char variables[] =
    "variables of set:\n"
    "  debug on|off                    of a vdev: in the status text (on)\n"
    "  sim-machine aarch64|x86_64      the guest's machine (aarch64)\n"
    "  sim-note old|new                form of a dump's note; new: SDP 8 (new)\n"
    "  sim-dump-seconds N              writing a dump takes about N seconds (0)\n"
    "  sim-env-template PATH           serve this file's bytes as env\n"
    "  sim-erratum-ID on|off|auto|NUMBER       an erratum, of the VM or a cpu\n"
    "  sim-pgtbl ADDRESS               page table of a dump's record, of all or a cpu\n"
    "  sim-reg-NAME NUMBER             a register such as pc, sp, x29, rip, rsp, rbp\n"
    "  sim-extra-NAME NUMBER           an extra register (SDP 8), in place of our own\n";

/* In the form that an 8.0 qvm was seen to print. */
static const char listed[] =
    "allowed set variables\n"
    "    debug                          (boolean, vdev)\n"
    "    sim-machine                    (string, global)\n"
    "    sim-note                       (string, global)\n"
    "    sim-dump-seconds               (string, global)\n"
    "    sim-env-template               (string, global)\n"
    "    sim-erratum-ID                 (string, global, cpu)\n"
    "    sim-pgtbl                      (number, global, cpu)\n"
    "    sim-reg-NAME                   (number, global, cpu)\n"
    "    sim-extra-NAME                 (number, global, cpu)\n";

static const char rest[] =
    "\n"
    "signals: SIGUSR1 status, SIGUSR2 dump; SIGTERM, SIGINT end (0), SIGQUIT (3)\n"
    "exit codes: 64 cannot start, 65 configuration error, 96 failed later\n"
    "commands on standard input, one a line, answered by \"ok COMMAND\" when done, else\n"
    "by \"failed COMMAND\" and the reason in the log:\n"
    "  suspend  vCPUs from 1 on are off        resume    undo suspend and hang\n"
    "  hang     env blocks its readers, SIGUSR1 and SIGUSR2 do nothing\n"
    "  status   as SIGUSR1                     dump      as SIGUSR2\n"
    "  reboot   be gone for 0.2 seconds        shutdown  as SIGTERM\n";

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
