/*
 * Writes the ELF core file of a dump: headers, RAM blocks, report, note. Nothing is kept
 * in memory: the headers are computed from the configuration, segment by segment.
 */
#include "dump/image.h"

#include "dump/memory.h"
#include "dump/note.h"
#include "dump/sink.h"

#include <string.h>

enum {
    ELF_HEADER_SIZE = 64,
    PROGRAM_HEADER_SIZE = 56,
    ELF_CORE = 4,
    ELF_MACHINE_X86_64 = 62,
    ELF_MACHINE_AARCH64 = 183,
    SEGMENT_LOAD = 1,
    SEGMENT_NOTE = 4,
    FLAG_READ = 4,
    FLAG_ALL = 7,
    KDUMP_SIZE = 44
};

struct segment {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t size;
    uint64_t alignment;
};

static bool has_report(const struct conf *conf)
{
    uint64_t address;

    return conf_report_address(conf, &address);
}

/* Index of the dumpinfo segment: after those of the RAM blocks. */
static size_t dumpinfo_index(const struct conf *conf)
{
    return has_report(conf) ? conf->ram_count : SIZE_MAX;
}

static size_t segment_count(const struct conf *conf)
{
    return conf->ram_count + has_report(conf) + 1;
}

static uint64_t first_offset(const struct conf *conf)
{
    uint64_t headers = ELF_HEADER_SIZE + segment_count(conf) * PROGRAM_HEADER_SIZE;

    return (headers + CONF_PAGE - 1) / CONF_PAGE * CONF_PAGE;
}

/* Segment `index`. Its offset follows from the segment before it. */
static struct segment segment_at(const struct conf *conf, size_t index,
                                 const struct segment *before)
{
    struct segment segment = {SEGMENT_LOAD, FLAG_ALL, first_offset(conf), 0, 0, CONF_PAGE};

    if (index < conf->ram_count) {
        segment.address = conf->ram[index].base;
        segment.size = conf_memory_size(conf, index);
    } else if (index == dumpinfo_index(conf)) {
        (void)conf_report_address(conf, &segment.address);
        segment.size = CONF_REPORT;
    } else {
        segment.type = SEGMENT_NOTE;
        segment.flags = FLAG_READ;
        segment.size = note_size(conf);
        segment.alignment = 8;
    }
    if (index > 0)
        segment.offset = before->offset + before->size;
    return segment;
}

uint64_t image_size(const struct conf *conf)
{
    uint64_t size = first_offset(conf) + note_size(conf);

    for (size_t i = 0; i < conf->ram_count; i++)
        size += conf_memory_size(conf, i);
    return size + (has_report(conf) ? CONF_REPORT : 0);
}

static void write_elf_header(const struct conf *conf, struct sink *sink)
{
    /* 64-bit, little-endian, ELF version 1 */
    static const unsigned char ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    bool arm = conf->machine == MACHINE_AARCH64;
    unsigned char header[ELF_HEADER_SIZE];
    unsigned char *at = header + sizeof ident;

    memcpy(header, ident, sizeof ident);
    at = put_u16(at, ELF_CORE);
    at = put_u16(at, arm ? ELF_MACHINE_AARCH64 : ELF_MACHINE_X86_64);
    at = put_u32(at, 1);               /* e_version */
    at = put_u64(at, 0);               /* e_entry */
    at = put_u64(at, ELF_HEADER_SIZE); /* e_phoff */
    at = put_u64(at, 0);               /* e_shoff */
    at = put_u32(at, 0);               /* e_flags */
    at = put_u16(at, ELF_HEADER_SIZE);
    at = put_u16(at, PROGRAM_HEADER_SIZE);
    at = put_u16(at, (unsigned)segment_count(conf));
    at = put_u16(at, 0);  /* e_shentsize */
    at = put_u16(at, 0);  /* e_shnum */
    (void)put_u16(at, 0); /* e_shstrndx */
    sink_bytes(sink, header, sizeof header);
}

static void write_program_headers(const struct conf *conf, struct sink *sink)
{
    struct segment segment = {0};

    for (size_t i = 0; i < segment_count(conf); i++) {
        unsigned char header[PROGRAM_HEADER_SIZE];
        unsigned char *at = header;
        segment = segment_at(conf, i, &segment);
        at = put_u32(at, segment.type);
        at = put_u32(at, segment.flags);
        at = put_u64(at, segment.offset);
        at = put_u64(at, 0); /* p_vaddr */
        at = put_u64(at, segment.address);
        at = put_u64(at, segment.size); /* p_filesz */
        at = put_u64(at, segment.size); /* p_memsz */
        (void)put_u64(at, segment.alignment);
        sink_bytes(sink, header, sizeof header);
    }
}

/* The dumpinfo segment: struct kdump, and the text whose size it has. */
static void write_report(const struct text *report, struct sink *sink)
{
    const size_t room = CONF_REPORT - KDUMP_SIZE;
    size_t length = report->length < room ? report->length : room;
    unsigned char kdump[KDUMP_SIZE] = {0};

    /* dump_type, kdebug_wanted, compress, big, a pointer and spare words are 0, and so is
       kp_idx, which follows kp_size. */
    (void)put_u32(kdump + 36, (uint32_t)length);
    sink_bytes(sink, kdump, sizeof kdump);
    sink_bytes(sink, report->data, length);
    sink_zeros(sink, room - length);
}

void image_write(const struct vm *vm, uint64_t number, const struct text *report,
                 struct sink *sink)
{
    const struct conf *conf = vm->conf;

    write_elf_header(conf, sink);
    write_program_headers(conf, sink);
    sink_zeros(sink, first_offset(conf) - sink->position);
    for (size_t i = 0; i < conf->ram_count; i++)
        memory_write(vm, i, number, sink);
    if (has_report(conf))
        write_report(report, sink);
    note_write(vm, (uint32_t)dumpinfo_index(conf), sink);
}
