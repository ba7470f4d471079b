/* Section headers are read one at a time, when they are asked for: a file may have hundreds
 * of thousands of them. A name is an offset into a string table, which is a section itself;
 * counts and indices that do not fit the ELF header's 16 bits are in section 0. */
#include "dump/elf_sections.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <inttypes.h>
#include <string.h>

/* Where the fields of a section header are; sh_name and sh_type are the first two words of
 * four bytes. */
struct layout {
    unsigned word, size; /* word: bytes of an address */
    unsigned flags, addr, offset, bytes, link, info;
};

static const struct layout layout32 = {4, 40, 8, 12, 16, 20, 24, 28};
static const struct layout layout64 = {8, 64, 8, 16, 24, 32, 40, 44};

enum { SHT_NOBITS = 8, SHN_XINDEX = 0xffff, HEADER_MAX = 64 };

static const struct layout *layout_of(const struct elf *elf)
{
    return elf->bits == 32 ? &layout32 : &layout64;
}

/* Reads the bytes of one header. */
static int read_raw(const struct elf *elf, const struct image_file *file, uint32_t index,
                    unsigned char *raw, struct qvm_error *err)
{
    const struct layout *layout = layout_of(elf);
    uint64_t start = elf->sections.offset, skipped = (uint64_t)index * layout->size;

    if (elf->sections.entry_size != layout->size) {
        qvm_fail(err, QVM_MALFORMED, "%s: section headers of %u bytes, not %u", file->path,
                 elf->sections.entry_size, layout->size);
        return -1;
    }
    /* start + skipped + layout->size <= file->size, without a sum that could wrap. */
    if (start > file->size || skipped > file->size - start ||
        layout->size > file->size - start - skipped) {
        qvm_fail(err, QVM_TRUNCATED,
                 "%s: section header %" PRIu32 " at %" PRIu64 " is missing", file->path,
                 index, start);
        return -1;
    }
    return image_file_read(file, start + skipped, raw, layout->size, err);
}

/* A field whose size depends on the class. */
static uint64_t word(const struct elf *elf, const unsigned char *raw, unsigned at)
{
    return bytes_get(raw + at, layout_of(elf)->word, elf->big_endian);
}

/* SHT_NOBITS: memory that is zeros at first (.bss), for which the file has nothing. */
static void decode(const struct elf *elf, const unsigned char *raw,
                   struct elf_section *section)
{
    const struct layout *layout = layout_of(elf);

    section->type = bytes_u32(raw + 4, elf->big_endian);
    section->flags = word(elf, raw, layout->flags);
    section->addr = word(elf, raw, layout->addr);
    section->offset = word(elf, raw, layout->offset);
    section->size = word(elf, raw, layout->bytes);
    section->file_size = section->type == SHT_NOBITS ? 0 : section->size;
    section->link = bytes_u32(raw + layout->link, elf->big_endian);
    section->info = bytes_u32(raw + layout->info, elf->big_endian);
    section->name[0] = '\0';
}

int sections_read(const struct elf *elf, const struct image_file *file, uint32_t index,
                  struct elf_section *section, struct qvm_error *err)
{
    unsigned char raw[HEADER_MAX];

    if (read_raw(elf, file, index, raw, err) != 0)
        return -1;
    decode(elf, raw, section);
    return 0;
}

/* A count that does not fit the ELF header is the size of section 0. */
int sections_count(const struct elf *elf, const struct image_file *file, uint32_t *count,
                   struct qvm_error *err)
{
    struct elf_section first;

    *count = elf->sections.offset ? elf->sections.count : 0;
    if (elf->sections.offset == 0 || *count > 0)
        return 0;
    if (sections_read(elf, file, 0, &first, err) != 0)
        return -1;
    if (first.size > SECTIONS_MAX)
        return qvm_fail(err, QVM_TOO_LARGE, "%s: %" PRIu64 " section headers", file->path,
                        first.size);
    *count = (uint32_t)first.size;
    return 0;
}

/* Finds the string table that has the names. Its index may be in section 0, too. */
static int find_strings(const struct elf *elf, const struct image_file *file,
                        struct elf_section *strings, struct qvm_error *err)
{
    uint32_t index = elf->section_names;

    if (index == SHN_XINDEX) {
        if (sections_read(elf, file, 0, strings, err) != 0)
            return -1;
        index = strings->link;
    }
    return sections_read(elf, file, index, strings, err);
}

/* A name further than this into the string table stays empty: in a compressed file, names
 * scattered over a large table would have it unpacked again for each. */
enum { STRINGS_MAX = LIMIT(4 << 20, 1 << 10) };

/* Reads a name, which ends at a NUL, at the table's end, or where `name` is full. A table
 * that claims more than the file has is found by image_file_read(), which fails. */
static int read_name(const struct image_file *file, const struct elf_section *strings,
                     uint32_t at, char *name, struct qvm_error *err)
{
    uint64_t left = at < strings->file_size ? strings->file_size - at : 0;
    size_t size = left < SECTION_NAME_MAX ? (size_t)left : SECTION_NAME_MAX;

    name[size] = '\0';
    if (size == 0 || at > STRINGS_MAX || strings->offset > UINT64_MAX - at)
        return 0;
    return image_file_read(file, strings->offset + at, name, size, err);
}

/* The string table's own header is read each time. That costs one more read, and no state
 * has to be kept between the calls. */
int sections_read_named(const struct elf *elf, const struct image_file *file,
                        uint32_t index, struct elf_section *section, struct qvm_error *err)
{
    unsigned char raw[HEADER_MAX];
    struct elf_section strings;

    if (read_raw(elf, file, index, raw, err) != 0)
        return -1;
    decode(elf, raw, section);
    if (elf->section_names == 0) /* SHN_UNDEF: no names */
        return 0;
    if (find_strings(elf, file, &strings, err) != 0)
        return -1;
    return read_name(file, &strings, bytes_u32(raw, elf->big_endian), section->name, err);
}

/* Where all section headers must end, lest a guess costs unpacking a compressed file. */
enum { NEAR = LIMIT(1 << 20, 1 << 12) };

/* A section that claims more than any file has makes the guess worthless. Both limits bound
 * the loop: NEAR has room for some 16000 headers. */
uint64_t sections_end(const struct elf *elf, const struct image_file *file)
{
    uint64_t start = elf->sections.offset, end;
    uint64_t size = (uint64_t)elf->sections.count * layout_of(elf)->size;
    struct elf_section section;
    struct qvm_error ignored;

    if (start == 0 || start > NEAR || size > NEAR)
        return 0;
    end = start + size;
    for (uint32_t i = 0; i < elf->sections.count; i++) {
        if (sections_read(elf, file, i, &section, &ignored) != 0 ||
            section.file_size > INT64_MAX || section.offset > INT64_MAX)
            return 0;
        if (section.file_size > 0 && section.offset + section.file_size > end)
            end = section.offset + section.file_size;
    }
    return end;
}
