/*
 * Writes the data of a dump's note: a head, the names of the extra registers (SDP 8), and
 * a record for each vCPU.
 */
#include "dump/note.h"

#include "dump/regs.h"
#include "dump/sink.h"

#include <stdio.h>
#include <string.h>

enum {
    HEAD_SIZE = 40,
    CPU_HEAD_SIZE = 128,
    PROCESS_NAME_SIZE = 100,
    SIGNAL_NUMBER = 17, /* QNX's SIGUSR2, which requests a dump */
    NO_SEGMENT = -1
};

#define FIRST_PAGE_TABLE UINT64_C(0x41000)

static size_t names_size(const struct conf *conf)
{
    size_t size = 0;

    for (size_t i = 0; conf->new_note && i < conf->extra_count; i++)
        size += strlen(conf->extras[i]) + 1;
    return size;
}

static size_t values_size(const struct conf *conf)
{
    return conf->new_note ? 8 * conf->extra_count : 0;
}

static size_t all_regs_size(const struct conf *conf)
{
    return regs_size(conf->machine) + values_size(conf);
}

size_t note_size(const struct conf *conf)
{
    size_t record = CPU_HEAD_SIZE + all_regs_size(conf);

    return HEAD_SIZE + names_size(conf) + conf->cpu_count * record;
}

/* struct kdump_note */
static void write_head(const struct conf *conf, uint32_t dumpinfo, struct sink *sink)
{
    unsigned char head[HEAD_SIZE];
    unsigned char *at = head;

    at = put_u8(at, 0); /* note_version */
    at = put_u8(at, SIGNAL_NUMBER);
    at = put_u8(at, 0); /* sig_code */
    at = put_u8(at, 0); /* fault_num */
    at = put_u16(at, (unsigned)conf->cpu_count);
    at = put_u16(at, 0); /* faulting_cpu */
    at = put_u32(at, (uint32_t)all_regs_size(conf));
    at = put_u32(at, 0);                    /* cpu_info */
    at = put_u32(at, (uint32_t)NO_SEGMENT); /* procnto_segnum */
    at = put_u32(at, (uint32_t)NO_SEGMENT); /* syspage_segnum */
    at = put_u32(at, dumpinfo);
    at = put_u32(at, 0); /* cpu_info_hi */
    at = put_u32(at, (uint32_t)values_size(conf));
    (void)put_u32(at, (uint32_t)names_size(conf));
    sink_bytes(sink, head, sizeof head);
}

/* struct kdump_note_cpu, and the registers */
static void write_cpu(const struct vm *vm, size_t index, struct sink *sink)
{
    const struct conf *conf = vm->conf;
    unsigned char record[CPU_HEAD_SIZE + REGS_LARGEST] = {0};
    char name[PROCESS_NAME_SIZE];
    uint64_t page_table = conf->ram[0].base + FIRST_PAGE_TABLE + index * CONF_PAGE;
    unsigned char *at = record;

    if (conf->cpus[index].name)
        (void)snprintf(name, sizeof name, "%s", conf->cpus[index].name);
    else
        (void)snprintf(name, sizeof name, "vcpu%zu", index);
    if (vm_has_guest(vm))
        page_table = 0;
    (void)vm_register(vm, index, SETTING_PGTBL, "", &page_table);
    at = put_u64(at, page_table);
    at = put_u32(at, (uint32_t)index);
    at += 4 * 4; /* spare */
    memcpy(at, name, strlen(name));
    at = regs_put(vm, index, conf->new_note, at + PROCESS_NAME_SIZE);
    sink_bytes(sink, record, (size_t)(at - record));
}

void note_write(const struct vm *vm, uint32_t dumpinfo, struct sink *sink)
{
    const struct conf *conf = vm->conf;

    write_head(conf, dumpinfo, sink);
    for (size_t i = 0; conf->new_note && i < conf->extra_count; i++)
        sink_bytes(sink, conf->extras[i], strlen(conf->extras[i]) + 1);
    for (size_t i = 0; i < conf->cpu_count; i++)
        write_cpu(vm, i, sink);
}
