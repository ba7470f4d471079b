/*
 * The configuration of the simulated VM.
 *
 * All strings are borrowed from `tokens`, which the configuration owns.
 */
#ifndef SIM_CONF_H
#define SIM_CONF_H

#include "conf/load.h"
#include "conf/number.h"
#include "conf/token.h"
#include "util/logger.h"
#include "util/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum machine { MACHINE_AARCH64, MACHINE_X86_64 };

enum {
    CONF_MOST_CPUS = 256,
    CONF_MOST_RAM_BLOCKS = 256,
    CONF_PAGE = 4096,
    CONF_REPORT = 64 << 10 /* at the end of a RAM block: a dump's report */
};

/* A block of guest memory: addresses base to base + size - 1, both page-aligned. Blocks do
   not overlap. */
struct ram {
    uint64_t base;
    uint64_t size;
    bool fixed; /* the configuration gave the base */
    struct place place;
};

enum erratum_kind { ERRATUM_OFF, ERRATUM_ON, ERRATUM_AUTO, ERRATUM_NUMBER };

struct erratum {
    const char *id;
    enum erratum_kind kind;
    uint64_t number;
};

struct errata {
    struct erratum *items;
    size_t count;
};

struct cpu {
    const char *name; /* NULL: none given */
    struct errata errata;
    struct settings settings;
};

/* An option of a vdev that the simulator only shows. */
struct detail {
    const char *word;
    const char *value;
};

struct vdev {
    const char *type;
    struct place place;
    const char *name; /* NULL: no node */
    bool debug;       /* in the status text */
    struct detail *details;
    size_t detail_count;
};

/* What runs in the VM: nothing; QEMU; or nothing, but memory and registers are those of a
   dump. */
enum guest_kind { GUEST_NONE, GUEST_QEMU, GUEST_FILE };

struct guest_conf {
    enum guest_kind kind;
    struct place place;      /* of sim-guest */
    const char *path;        /* of the dump */
    struct guest_file *file; /* owned */
    bool kvm;
    /* For QEMU; NULL: not given. */
    const char *qmp; /* path of another monitor's socket */
    const char *initrd;
    struct place initrd_place;
    const char *cmdline;
    struct place cmdline_place;
};

struct conf {
    struct tokens tokens;
    const char *system;
    enum machine machine;
    struct ram *ram; /* in the order given; at least one */
    size_t ram_count;
    struct cpu *cpus; /* at least one */
    size_t cpu_count;
    struct vdev *vdevs;
    size_t vdev_count;
    struct errata errata;     /* of the whole VM */
    struct settings settings; /* for each cpu that does not set the same name */
    const char **extras;      /* names of the extra registers */
    size_t extra_count;
    bool extras_set;    /* by the configuration; else they are the default ones */
    struct loads loads; /* the RAM that files fill */
    struct guest_conf guest;
    struct logger logger;
    const char *dump; /* directory, or "|command"; NULL: none */
    double dump_seconds;
    bool served; /* env with FUSE, not as a file */
    struct place served_place;
    bool new_note;        /* the dump's note has the form of SDP 8 */
    bool has_template;    /* `template` is served as env, as it is */
    struct text template; /* owned */
};

/* Reads the command line, from `argv[1]` on, into an all-zero `conf`. Exits on an error
   (see place_fail); for leak checkers, `conf` is then still reachable. */
void conf_read(struct conf *conf, int argc, char *const argv[]);

void conf_free(struct conf *conf);

/* The address of the first RAM block that has none in the configuration; if QEMU runs the
   guest, where QEMU's memory begins. */
uint64_t conf_ram_base(const struct conf *conf);

const char *conf_machine_name(const struct conf *conf);

/* The bytes of RAM block `block` that hold the guest's memory: all, except for the
   report's. */
uint64_t conf_memory_size(const struct conf *conf, size_t block);

/* The address of a dump's report: at the end of the last RAM block of at least 128 KiB; or,
   if the memory is that of a guest, after the highest block. False: no room. */
bool conf_report_address(const struct conf *conf, uint64_t *address);

/* Looks up the variable `prefix` + `name` of cpu `cpu`, or else of all. False if it is not
   set; `value` is then unchanged. */
bool conf_setting(const struct conf *conf, size_t cpu, const char *prefix, const char *name,
                  uint64_t *value);

#endif
