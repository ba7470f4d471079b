#include "elf.h"

#include "bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Offsets of the ELF64 header and program header (System V ABI, "Object Files"). */
enum {
    HEADER_SIZE = 64,
    E_CLASS = 4,
    E_DATA = 5,
    E_TYPE = 16,
    E_MACHINE = 18,
    E_PHOFF = 32,
    E_PHENTSIZE = 54,
    E_PHNUM = 56,
    ENTRY_SIZE = 56,
    P_TYPE = 0,
    P_FLAGS = 4,
    P_OFFSET = 8,
    P_VADDR = 16,
    P_PADDR = 24,
    P_FILESZ = 32,
    P_MEMSZ = 40,
    PN_XNUM = 0xffff
};

static const unsigned char magic[4] = {0x7f, 'E', 'L', 'F'};

/* What else an integrator may hold in hands. */
static int fail_magic(const unsigned char *head, const struct file *file,
                      struct qvm_error *err)
{
    static const struct {
        unsigned char magic[4];
        const char *advice;
    } known[] = {
        {{0x1f, 0x8b, 0x08, 0}, "gzip-compressed: gunzip it first"},
        {{0x28, 0xb5, 0x2f, 0xfd}, "zstd-compressed: unzstd it first"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(head, known[i].magic, known[i].magic[3] ? 4 : 3) == 0)
            return qvm_fail(err, QVM_UNSUPPORTED, "%s: %s", file->path, known[i].advice);
    return qvm_fail(err, QVM_MALFORMED, "%s: offset 0: not an ELF file", file->path);
}

static int read_header(unsigned char *header, const struct file *file,
                       struct qvm_error *err)
{
    size_t present = file->size < HEADER_SIZE ? (size_t)file->size : HEADER_SIZE;
    size_t compared = present < sizeof magic ? present : sizeof magic;

    memset(header, 0, HEADER_SIZE);
    if (file_read(file, 0, header, present, err) != 0)
        return -1;
    if (memcmp(header, magic, compared) != 0)
        return fail_magic(header, file, err);
    if (present < HEADER_SIZE)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: ends after %" PRIu64 " bytes, within the ELF header",
                        file->path, file->size);
    return 0;
}

static int check_kind(const struct elf *elf, const unsigned char *header,
                      const struct file *file, struct qvm_error *err)
{
    if (header[E_CLASS] != 1 && header[E_CLASS] != 2)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset 4: ELF class %u", file->path,
                        header[E_CLASS]);
    if (header[E_DATA] != 1 && header[E_DATA] != 2)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset 5: ELF byte order %u", file->path,
                        header[E_DATA]);
    if (header[E_CLASS] == 1 || elf->big_endian)
        return qvm_fail(err, QVM_UNSUPPORTED,
                        "%s: only 64-bit little-endian ELF files can be read", file->path);
    if (elf->type != ELF_ET_CORE)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset 16: ELF type %u, not a core (4)",
                        file->path, elf->type);
    return 0;
}

static void decode_segment(struct elf_segment *segment, const unsigned char *entry,
                           bool big)
{
    segment->type = bytes_u32(entry + P_TYPE, big);
    segment->flags = bytes_u32(entry + P_FLAGS, big);
    segment->offset = bytes_u64(entry + P_OFFSET, big);
    segment->vaddr = bytes_u64(entry + P_VADDR, big);
    segment->paddr = bytes_u64(entry + P_PADDR, big);
    segment->filesz = bytes_u64(entry + P_FILESZ, big);
    segment->memsz = bytes_u64(entry + P_MEMSZ, big);
}

static int check_segment(const struct elf_segment *segment, unsigned index, uint64_t at,
                         const struct file *file, struct qvm_error *err)
{
    if (segment->filesz > UINT64_MAX - segment->offset)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64 ": segment %u: its file range overflows",
                        file->path, at, index);
    if (segment->type != ELF_PT_LOAD)
        return 0;
    if (segment->filesz > segment->memsz)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64
                        ": segment %u: larger in the file than in memory",
                        file->path, at, index);
    if (segment->memsz > 0 && segment->memsz - 1 > UINT64_MAX - segment->paddr)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64 ": segment %u: its address range overflows",
                        file->path, at, index);
    return 0;
}

static void extend(struct elf *elf, const struct elf_segment *segment)
{
    uint64_t end = segment->offset + segment->filesz;

    if (segment->filesz > 0 && end > elf->extent)
        elf->extent = end;
}

static int decode_table(struct elf *elf, const unsigned char *table, uint64_t start,
                        const struct file *file, struct qvm_error *err)
{
    elf->segments = calloc(elf->count ? elf->count : 1, sizeof *elf->segments);
    if (!elf->segments)
        return qvm_fail_memory(err, file->path);
    for (unsigned i = 0; i < elf->count; i++) {
        decode_segment(&elf->segments[i], table + (size_t)i * ENTRY_SIZE, elf->big_endian);
        if (check_segment(&elf->segments[i], i, start + (uint64_t)i * ENTRY_SIZE, file,
                          err) != 0)
            return -1;
        extend(elf, &elf->segments[i]);
    }
    return 0;
}

static int read_table(struct elf *elf, uint64_t start, const struct file *file,
                      struct qvm_error *err)
{
    size_t size = (size_t)elf->count * ENTRY_SIZE;
    unsigned char *table;
    int status;

    if (size > UINT64_MAX - start)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset %d: program headers at %" PRIu64,
                        file->path, E_PHOFF, start);
    elf->extent = start + size > HEADER_SIZE ? start + size : HEADER_SIZE;
    if (elf->extent > file->size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: %" PRIu64 " bytes missing from the program headers",
                        file->path, elf->extent - file->size);
    table = malloc(size ? size : 1);
    if (!table)
        return qvm_fail_memory(err, file->path);
    status = file_read(file, start, table, size, err);
    if (status == 0)
        status = decode_table(elf, table, start, file, err);
    free(table);
    return status;
}

int elf_read(struct elf *elf, const struct file *file, struct qvm_error *err)
{
    unsigned char header[HEADER_SIZE];
    bool big;

    *elf = (struct elf){.bits = 64};
    if (read_header(header, file, err) != 0)
        return -1;
    big = elf->big_endian = header[E_DATA] == 2;
    elf->type = bytes_u16(header + E_TYPE, big);
    elf->machine = bytes_u16(header + E_MACHINE, big);
    elf->count = bytes_u16(header + E_PHNUM, big);
    if (check_kind(elf, header, file, err) != 0)
        return -1;
    if (elf->count == PN_XNUM)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: 65535 program headers or more",
                        file->path);
    if (elf->count > 0 && bytes_u16(header + E_PHENTSIZE, big) != ENTRY_SIZE)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %d: program headers of %u bytes, not %d", file->path,
                        E_PHENTSIZE, bytes_u16(header + E_PHENTSIZE, big), ENTRY_SIZE);
    if (read_table(elf, bytes_u64(header + E_PHOFF, big), file, err) != 0) {
        elf_free(elf);
        return -1;
    }
    return 0;
}

void elf_free(struct elf *elf)
{
    free(elf->segments);
    elf->segments = NULL;
}
