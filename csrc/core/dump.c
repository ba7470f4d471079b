#include "dump.h"

#include <inttypes.h>
#include <stdlib.h>

static int probe_qnx(struct dump *dump, struct qvm_error *err)
{
    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *segment = &dump->elf.segments[i];
        int found = 0;

        /* In a partial dump the note may be missing. */
        if (segment->type == ELF_PT_NOTE &&
            segment->offset + segment->filesz <= dump->file.size)
            found = kdump_probe(&dump->kdump, &dump->elf, segment, &dump->file, err);
        if (found > 0)
            dump->kdump_segment = (int)i;
        if (found != 0)
            return found;
    }
    return 0;
}

static void release_qnx(struct dump *dump)
{
    kdump_free(&dump->kdump);
}

static int probe_elf(struct dump *dump, struct qvm_error *err)
{
    (void)dump;
    (void)err;
    return 1;
}

static void release_nothing(struct dump *dump)
{
    (void)dump;
}

/* The last one takes every ELF core: memory, no registers. */
static const struct dump_format formats[] = {
    {"qnx", probe_qnx, release_qnx},
    {"elf", probe_elf, release_nothing},
};

static int find_format(struct dump *dump, struct qvm_error *err)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        int found = formats[i].probe(dump, err);

        if (found < 0)
            return -1;
        if (found > 0) {
            dump->format = &formats[i];
            return 0;
        }
    }
    return -1;
}

static int check_whole(const struct dump *dump, bool partial, struct qvm_error *err)
{
    if (partial || dump->elf.extent <= dump->file.size)
        return 0;
    return qvm_fail(err, QVM_TRUNCATED, "%s: %" PRIu64 " of %" PRIu64 " bytes are missing",
                    dump->file.path, dump->elf.extent - dump->file.size, dump->elf.extent);
}

static int read_headers(struct dump *dump, bool partial, struct qvm_error *err)
{
    if (elf_read(&dump->elf, &dump->file, err) != 0)
        return -1;
    if (check_whole(dump, partial, err) != 0 || find_format(dump, err) != 0)
        return -1;
    return ranges_build(&dump->ranges, &dump->elf, dump->file.path, err);
}

struct dump *dump_open(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = calloc(1, sizeof *dump);

    if (!dump) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    dump->kdump_segment = -1;
    if (file_open(&dump->file, path, err) != 0) {
        free(dump);
        return NULL;
    }
    if (read_headers(dump, partial, err) != 0) {
        dump_close(dump);
        return NULL;
    }
    return dump;
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
        if (file_read(&dump->file, piece->offset + (address - piece->first), out, part,
                      err) != 0)
            return -1;
        out += part;
        n -= part;
        address += part;
    }
    return 0;
}

int dump_extent(const char *path, uint64_t *extent, struct qvm_error *err)
{
    struct file file;
    struct elf elf;
    int status;

    *extent = 0;
    if (file_open(&file, path, err) != 0)
        return -1;
    status = elf_read(&elf, &file, err);
    if (status == 0) {
        *extent = elf.extent;
        elf_free(&elf);
    }
    if (status != 0 && err->code == QVM_TRUNCATED)
        status = 0;
    file_close(&file);
    return status;
}
