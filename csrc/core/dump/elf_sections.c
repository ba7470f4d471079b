#include "dump/elf_sections.h"

#include "util/bytes.h"

#include <inttypes.h>
#include <string.h>

/* Where the fields of a section header are; sh_name and sh_type are the first two words. */
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

static int read_raw(const struct elf *elf, const struct image_file *file, uint32_t index,
                    unsigned char *raw, struct qvm_error *err)
{
    const struct layout *layout = layout_of(elf);
    uint64_t skipped = (uint64_t)index * layout->size;

    if (elf->section_entry_size != layout->size) {
        qvm_fail(err, QVM_MALFORMED, "%s: section headers of %u bytes, not %u", file->path,
                 elf->section_entry_size, layout->size);
        return -1;
    }
    if (elf->sections_at > file->size || skipped > file->size - elf->sections_at ||
        layout->size > file->size - elf->sections_at - skipped) {
        qvm_fail(err, QVM_TRUNCATED,
                 "%s: section header %" PRIu32 " at %" PRIu64 " is missing", file->path,
                 index, elf->sections_at);
        return -1;
    }
    return image_file_read(file, elf->sections_at + skipped, raw, layout->size, err);
}

static uint64_t word(const struct elf *elf, const unsigned char *raw, unsigned at)
{
    return bytes_get(raw + at, layout_of(elf)->word, elf->big_endian);
}

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

/* A count that does not fit the ELF header is in section 0. */
int sections_count(const struct elf *elf, const struct image_file *file, uint32_t *count,
                   struct qvm_error *err)
{
    struct elf_section first;

    *count = elf->sections_at ? elf->section_count : 0;
    if (elf->sections_at == 0 || *count > 0)
        return 0;
    if (sections_read(elf, file, 0, &first, err) != 0)
        return -1;
    if (first.size > SECTIONS_MAX)
        return qvm_fail(err, QVM_TOO_LARGE, "%s: %" PRIu64 " section headers", file->path,
                        first.size);
    *count = (uint32_t)first.size;
    return 0;
}

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

/* A name beyond this many bytes of the string table stays empty: names all over a large
 * compressed table would have it unpacked again for each. */
enum { STRINGS_MAX = 4 << 20 };

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

enum { NEAR = 1 << 20 };

uint64_t sections_end(const struct elf *elf, const struct image_file *file)
{
    uint64_t size = (uint64_t)elf->section_count * layout_of(elf)->size, extent;
    struct elf_section section;
    struct qvm_error ignored;

    if (elf->sections_at == 0 || elf->sections_at > NEAR || size > NEAR)
        return 0;
    extent = elf->sections_at + size;
    for (uint32_t i = 0; i < elf->section_count; i++) {
        if (sections_read(elf, file, i, &section, &ignored) != 0 ||
            section.file_size > INT64_MAX || section.offset > INT64_MAX)
            return 0;
        if (section.file_size > 0 && section.offset + section.file_size > extent)
            extent = section.offset + section.file_size;
    }
    return extent;
}
