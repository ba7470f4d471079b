#include "dump/dump.h"

#include "dump/elf_core.h"
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
    uint64_t sections = sections_end(&dump->elf, &dump->file);

    if (image_file_resolve_size(&dump->file, sections > extent ? sections : extent, extent,
                                err) != 0)
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
    return memory_map_build(&dump->map, &dump->elf, dump->format->zeros, &dump->file, err);
}

int dump_load(struct dump *dump, struct qvm_error *err)
{
    if (image_file_detect_gzip(&dump->file, err) != 0 ||
        elf_core_read(&dump->elf, &dump->file, err) != 0)
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
    dump->qnx_note_segment = -1;
    return dump;
}

struct dump *dump_open(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || image_file_open(&dump->file, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

struct dump *dump_open_fd(int fd, const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || image_file_open_fd(&dump->file, fd, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

void dump_close(struct dump *dump)
{
    if (dump->format)
        dump->format->release(dump);
    memory_map_free(&dump->map);
    elf_free(&dump->elf);
    image_file_close(&dump->file);
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
    const struct qemu_notes *qemu = &dump->qemu;

    switch (warning) {
    case DAMAGED: return dump->file.damaged;
    case GARBAGE: return dump->file.garbage;
    case OVERLAP: return dump->map.overlaps;
    case REPEATED: return dump->elf.repeated;
    case NOTES_CUT: return notes_are_cut(dump);
    case LOST: return dump->qnx.missing + qemu->missing;
    case STATES: return qemu->cpus - qemu->states;
    case REJECTED: return dump->format->zeros && (dump->rejected || qemu->rejected);
    case RAW: return dump->qnx.extra_size && !dump->qnx.extra_count;
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
                     count, dump->map.overlap_at);
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
    return dump->qnx.missing;
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
static uint64_t present(const struct dump *dump, const struct memory_run *run,
                        uint64_t address, uint64_t n)
{
    uint64_t offset = run->offset + (address - run->first);
    uint64_t left = dump->file.size > offset ? dump->file.size - offset : 0;

    if (run->offset == RUN_ZEROS)
        return n;
    return n < left ? n : left;
}

uint64_t dump_contiguous(const struct dump *dump, uint64_t address, uint64_t n)
{
    const struct memory_map *map = &dump->map;
    uint64_t reached = 0;

    for (size_t i = memory_map_find(map, address); i < map->count && reached < n; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t at = address + reached, here = n - reached, got;

        if (at < run->first || at < address)
            break;
        if (run->last - at < here)
            here = run->last - at + 1;
        got = present(dump, run, at, here);
        reached += got;
        if (got < here)
            break;
    }
    return reached;
}

/* What is wrong with the first byte from an address on that cannot be read. */
static int fail_at(const struct dump *dump, uint64_t address, struct qvm_error *err)
{
    size_t i = memory_map_find(&dump->map, address);
    bool mapped = i < dump->map.count && dump->map.runs[i].first <= address;

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
    reach = dump_contiguous(dump, address, n);
    return reach == n ? 0 : fail_at(dump, address + reach, err);
}

void dump_map(struct dump *dump)
{
    image_file_map(&dump->file);
}

int dump_read(const struct dump *dump, uint64_t address, void *to, size_t n,
              struct qvm_error *err)
{
    const struct memory_map *map = &dump->map;
    unsigned char *out = to;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return dump_check(dump, address, n, err);
    for (size_t i = memory_map_find(map, address); n > 0; i++) {
        const struct memory_run *run = &map->runs[i];
        size_t part = n;

        if (i == map->count || run->first > address)
            return fail_at(dump, address, err);
        if (run->last - address < n - 1)
            part = (size_t)(run->last - address) + 1;
        if (run->offset == RUN_ZEROS)
            memset(out, 0, part);
        else if (image_file_read(&dump->file, run->offset + (address - run->first), out,
                                 part, err) != 0)
            return -1;
        out += part;
        n -= part;
        address += part;
    }
    return 0;
}

int dump_whole_size(int fd, const char *path, uint64_t *extent, struct qvm_error *err)
{
    struct image_file file;
    struct elf elf;
    int status;

    *extent = 0;
    if (image_file_open_fd(&file, fd, path, false, err) != 0)
        return -1;
    status = image_file_detect_gzip(&file, err) == 0 ? elf_core_read(&elf, &file, err) : -1;
    if (status == 0) {
        *extent = elf.extent;
        elf_free(&elf);
    }
    if (status != 0 && (err->code == QVM_TRUNCATED || err->code == QVM_INCOMPLETE))
        status = 0;
    image_file_close(&file);
    return status;
}
