#include "dump/dump.h"

#include "dump/elf_sections.h"
#include "dump/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dump_is_whole(const struct dump *dump)
{
    return dump->elf.extent <= dump->file.size && !dump->file.cut && !dump->file.damaged;
}

static int check_whole(struct dump *dump, struct qvm_error *err)
{
    uint64_t extent = dump->elf.extent;
    uint64_t sections = sections_extent(&dump->elf, &dump->file);

    if (file_settle(&dump->file, sections > extent ? sections : extent, extent, err) != 0)
        return -1;
    if (dump->partial || dump_is_whole(dump))
        return 0;
    if (extent <= dump->file.size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the end of the gzip data is missing, and its checksum with it",
                        dump->file.path);
    return qvm_fail(err, QVM_TRUNCATED, "%s: %" PRIu64 " of %" PRIu64 " bytes are missing",
                    dump->file.path, extent - dump->file.size, extent);
}

static int load(struct dump *dump, struct qvm_error *err)
{
    if (check_whole(dump, err) != 0 || format_find(dump, err) != 0)
        return -1;
    return ranges_build(&dump->ranges, &dump->elf, dump->format->zeros, &dump->file, err);
}

int dump_load(struct dump *dump, struct qvm_error *err)
{
    if (file_begin(&dump->file, err) != 0 || elf_read(&dump->elf, &dump->file, err) != 0)
        return -1;
    if (load(dump, err) == 0)
        return 0;
    if (dump->format)
        dump->format->release(dump);
    dump->format = NULL;
    elf_free(&dump->elf);
    return -1;
}

static struct dump *new_dump(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = calloc(1, sizeof *dump);

    if (!dump) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    dump->partial = partial;
    dump->kdump_segment = -1;
    return dump;
}

struct dump *dump_open(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || file_open(&dump->file, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

struct dump *dump_open_fd(int fd, const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || file_open_fd(&dump->file, fd, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

void dump_close(struct dump *dump)
{
    if (dump->format)
        dump->format->release(dump);
    ranges_free(&dump->ranges);
    elf_free(&dump->elf);
    file_close(&dump->file);
    free(dump);
}

static bool notes_are_cut(const struct dump *dump)
{
    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *segment = &dump->elf.segments[i];

        if (segment->type == ELF_PT_NOTE &&
            segment->offset + segment->filesz > dump->file.size)
            return true;
    }
    return dump->qemu.cut;
}

enum warning {
    DAMAGED,
    GARBAGE,
    OVERLAP,
    REPEATED,
    NOTES_CUT,
    LOST,
    STATES,
    REJECTED,
    RAW
};

/* How many things a warning counts; 0: there is no reason for it. */
static unsigned reason(const struct dump *dump, enum warning warning)
{
    const struct qemu *qemu = &dump->qemu;

    switch (warning) {
    case DAMAGED: return dump->file.damaged;
    case GARBAGE: return dump->file.garbage;
    case OVERLAP: return dump->ranges.overlaps;
    case REPEATED: return dump->elf.repeated;
    case NOTES_CUT: return notes_are_cut(dump);
    case LOST: return dump->kdump.missing + qemu->missing;
    case STATES: return qemu->cpus - qemu->states;
    case REJECTED: return dump->format->zeros && (dump->rejected || qemu->rejected);
    case RAW: return dump->kdump.extra_size && !dump->kdump.extra_count;
    }
    return 0;
}

static const char *const warnings[] = {
    [DAMAGED] = "the gzip data is damaged or its checksum wrong: do not trust it",
    [GARBAGE] = "something that is not gzip data follows the gzip data: it is ignored",
    [NOTES_CUT] = "the notes are cut: registers of vCPUs may be missing",
    [REJECTED] = "some notes have registers of vCPUs, but not all are as QNX or QEMU "
                 "writes them: no registers are read",
    [RAW] = "the extra registers have no names that fit, or too many: they are given as "
            "bytes",
};

bool dump_warning(const struct dump *dump, unsigned index, char text[DUMP_WARNING_SIZE])
{
    for (int i = DAMAGED; i <= RAW; i++) {
        unsigned count = reason(dump, (enum warning)i);

        if (count == 0 || index-- > 0)
            continue;
        if (i == OVERLAP)
            snprintf(text, DUMP_WARNING_SIZE,
                     "segments overlap %u times, first at 0x%016" PRIx64
                     ": where they do, the first in the file is read",
                     count, dump->ranges.overlap_at);
        else if (i == REPEATED)
            snprintf(text, DUMP_WARNING_SIZE,
                     "%u note segments are skipped: they share bytes of the file with "
                     "another one, or are more than %d",
                     count, ELF_NOTE_SEGMENTS_MAX);
        else if (i == LOST)
            snprintf(text, DUMP_WARNING_SIZE, "the registers of %u vCPUs are missing",
                     count);
        else if (i == STATES)
            snprintf(text, DUMP_WARNING_SIZE,
                     "%u vCPUs have no control registers: notes with them are missing",
                     count);
        else
            snprintf(text, DUMP_WARNING_SIZE, "%s", warnings[i]);
        return true;
    }
    return false;
}

const char *dump_format_name(const struct dump *dump)
{
    return dump->format->name;
}

unsigned dump_vcpus(const struct dump *dump)
{
    return dump->format->vcpus(dump);
}

unsigned dump_vcpus_lost(const struct dump *dump)
{
    return dump->kdump.missing;
}

int dump_read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                   struct qvm_error *err)
{
    return dump->format->read_vcpu(dump, index, vcpu, err);
}

const char *dump_machine(const struct dump *dump)
{
    const struct register_set *set = registers_of(dump->elf.machine);

    return set ? set->name : NULL;
}

/* Of n bytes of a piece from an address in it, how many the file has. */
static uint64_t present(const struct dump *dump, const struct piece *piece,
                        uint64_t address, uint64_t n)
{
    uint64_t offset = piece->offset + (address - piece->first);
    uint64_t left = dump->file.size > offset ? dump->file.size - offset : 0;

    if (piece->offset == PIECE_ZEROS)
        return n;
    return n < left ? n : left;
}

uint64_t dump_reach(const struct dump *dump, uint64_t address, uint64_t n)
{
    const struct ranges *ranges = &dump->ranges;
    uint64_t reached = 0;

    for (size_t i = ranges_find(ranges, address); i < ranges->count && reached < n; i++) {
        const struct piece *piece = &ranges->pieces[i];
        uint64_t at = address + reached, here = n - reached, got;

        if (at < piece->first || at < address)
            break;
        if (piece->last - at < here)
            here = piece->last - at + 1;
        got = present(dump, piece, at, here);
        reached += got;
        if (got < here)
            break;
    }
    return reached;
}

/* What is wrong with the first byte from an address on that cannot be read. */
static int fail_at(const struct dump *dump, uint64_t address, struct qvm_error *err)
{
    size_t i = ranges_find(&dump->ranges, address);
    bool mapped = i < dump->ranges.count && dump->ranges.pieces[i].first <= address;

    if (mapped)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the file ends before what is at address 0x%016" PRIx64,
                        dump->file.path, address);
    return qvm_fail(err, QVM_UNMAPPED, "%s: address 0x%016" PRIx64 " is not in the dump",
                    dump->file.path, address);
}

int dump_check(const struct dump *dump, uint64_t address, uint64_t n, struct qvm_error *err)
{
    uint64_t reach;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return qvm_fail(err, QVM_UNMAPPED, "%s: beyond the last address, 0x%016" PRIx64,
                        dump->file.path, UINT64_MAX);
    reach = dump_reach(dump, address, n);
    return reach == n ? 0 : fail_at(dump, address + reach, err);
}

void dump_map(struct dump *dump)
{
    file_map(&dump->file);
}

int dump_read(const struct dump *dump, uint64_t address, void *to, size_t n,
              struct qvm_error *err)
{
    const struct ranges *ranges = &dump->ranges;
    unsigned char *out = to;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return dump_check(dump, address, n, err);
    for (size_t i = ranges_find(ranges, address); n > 0; i++) {
        const struct piece *piece = &ranges->pieces[i];
        size_t part = n;

        if (i == ranges->count || piece->first > address)
            return fail_at(dump, address, err);
        if (piece->last - address < n - 1)
            part = (size_t)(piece->last - address) + 1;
        if (piece->offset == PIECE_ZEROS)
            memset(out, 0, part);
        else if (file_read(&dump->file, piece->offset + (address - piece->first), out, part,
                           err) != 0)
            return -1;
        out += part;
        n -= part;
        address += part;
    }
    return 0;
}

int dump_extent(int fd, const char *path, uint64_t *extent, struct qvm_error *err)
{
    struct file file;
    struct elf elf;
    int status;

    *extent = 0;
    if (file_open_fd(&file, fd, path, false, err) != 0)
        return -1;
    status = file_begin(&file, err) == 0 ? elf_read(&elf, &file, err) : -1;
    if (status == 0) {
        *extent = elf.extent;
        elf_free(&elf);
    }
    if (status != 0 && (err->code == QVM_TRUNCATED || err->code == QVM_AGAIN))
        status = 0;
    file_close(&file);
    return status;
}
