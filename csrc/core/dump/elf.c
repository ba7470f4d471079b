/* The ELF header. Its fields are at different offsets in 32-bit and in 64-bit files, so
 * they are read by a table of offsets, a row for each class, and with the byte order that
 * the file states. Nothing is cast to a struct: alignment, padding and byte order of this
 * machine play no part. */
#include "dump/elf.h"

#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where the fields of one class of ELF files are. */
struct layout {
    unsigned bits, word; /* word: bytes of an address or offset */
    unsigned size;       /* bytes of the header */
    unsigned phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx;
};

/* A row of the table for each class. */
static const struct layout layout32 = {.bits = 32,
                                       .word = 4,
                                       .size = 52,
                                       .phoff = 28,
                                       .shoff = 32,
                                       .phentsize = 42,
                                       .phnum = 44,
                                       .shentsize = 46,
                                       .shnum = 48,
                                       .shstrndx = 50};

static const struct layout layout64 = {.bits = 64,
                                       .word = 8,
                                       .size = 64,
                                       .phoff = 32,
                                       .shoff = 40,
                                       .phentsize = 54,
                                       .phnum = 56,
                                       .shentsize = 58,
                                       .shnum = 60,
                                       .shstrndx = 62};

/* What both classes have in common: the 16 bytes of e_ident, then e_type and e_machine. */
enum { HEADER_MAX = 64, E_CLASS = 4, E_DATA = 5, E_TYPE = 16, E_MACHINE = 18 };

enum { CLASS_32 = 1, CLASS_64 = 2, DATA_LITTLE = 1, DATA_BIG = 2 };

/* The first bytes of every ELF file. */
static const unsigned char magic[4] = {0x7f, 'E', 'L', 'F'};

/* Fails for a file that does not begin with ELF's magic number. Of the usual compressions,
 * only gzip is undone here. */
static int fail_magic(const unsigned char *head, const struct image_file *file,
                      struct qvm_error *err)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *advice;
    } compressions[] = {
        {"\x28\xb5\x2f\xfd", 4, "compressed by zstd: zstd -d it first"},
        {"\xfd"
         "7zXZ",
         5, "compressed by xz: xz -d it first"},
        {"\x04\x22\x4d\x18", 4, "compressed by lz4: lz4 -d it first"},
        {"BZh", 3, "compressed by bzip2: bzip2 -d it first"},
    };

    for (size_t i = 0; i < sizeof compressions / sizeof compressions[0]; i++)
        if (memcmp(head, compressions[i].magic, compressions[i].size) == 0)
            return qvm_fail(err, QVM_UNSUPPORTED, "%s: %s", file->path,
                            compressions[i].advice);
    return qvm_fail(err, QVM_MALFORMED, "%s: offset 0: not an ELF file", file->path);
}

/* The layout that the header's class says; NULL, and a failure, where class or byte order
 * are none of ELF's. */
static const struct layout *layout_of(const unsigned char *header,
                                      const struct image_file *file, struct qvm_error *err)
{
    if (header[E_CLASS] != CLASS_32 && header[E_CLASS] != CLASS_64) {
        qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF class %u", file->path, E_CLASS,
                 header[E_CLASS]);
        return NULL;
    }
    if (header[E_DATA] != DATA_LITTLE && header[E_DATA] != DATA_BIG) {
        qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF byte order %u", file->path, E_DATA,
                 header[E_DATA]);
        return NULL;
    }
    return header[E_CLASS] == CLASS_32 ? &layout32 : &layout64;
}

/* Reads the header's bytes, padded with zeros. A file that ends within them is truncated,
 * unless what it has is not the beginning of an ELF file: then it is malformed. The checks
 * work on what is there: the magic number by the bytes that the file has, the class only if
 * its byte is present. So a file that is being written counts as truncated from its first
 * byte on. */
static int read_bytes(unsigned char header[HEADER_MAX], const struct layout **layout,
                      const struct image_file *file, struct qvm_error *err)
{
    size_t present = (size_t)smaller_u64(file->size, HEADER_MAX);
    size_t compared = present < sizeof magic ? present : sizeof magic;

    memset(header, 0, HEADER_MAX);
    if (image_file_read(file, 0, header, present, err) != 0)
        return -1;
    if (memcmp(header, magic, compared) != 0)
        return fail_magic(header, file, err);
    if (present > E_DATA && !(*layout = layout_of(header, file, err)))
        return -1;
    if (present < (*layout)->size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: ends after %" PRIu64 " bytes, within the ELF header",
                        file->path, file->size);
    return 0;
}

/* Counts and sizes are stored as the header has them; who uses them checks them. A count
 * that does not fit 16 bits is in section 0: see elf_segments.c and elf_sections.c. */
int elf_read_header(struct elf *elf, const struct image_file *file, struct qvm_error *err)
{
    unsigned char header[HEADER_MAX];
    const struct layout *at = &layout64; /* until the class is known */
    bool big;

    *elf = (struct elf){0};
    if (read_bytes(header, &at, file, err) != 0)
        return -1;
    elf->bits = at->bits;
    elf->big_endian = big = header[E_DATA] == DATA_BIG;
    elf->type = bytes_u16(header + E_TYPE, big);
    elf->machine = bytes_u16(header + E_MACHINE, big);
    elf->programs =
        (struct elf_table){.offset = bytes_get(header + at->phoff, at->word, big),
                           .entry_size = bytes_u16(header + at->phentsize, big),
                           .count = bytes_u16(header + at->phnum, big)};
    elf->sections =
        (struct elf_table){.offset = bytes_get(header + at->shoff, at->word, big),
                           .entry_size = bytes_u16(header + at->shentsize, big),
                           .count = bytes_u16(header + at->shnum, big)};
    elf->section_names = bytes_u16(header + at->shstrndx, big);
    return 0;
}

void elf_free(struct elf *elf)
{
    free(elf->segments);
    elf->segments = NULL;
    elf->count = 0;
}
