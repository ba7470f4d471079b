#include "dump/elf.h"

#include "dump/elf_sections.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where the fields of one class of ELF files are (System V ABI, "Object Files"). */
struct layout {
    unsigned bits, word; /* word: bytes of an address or offset */
    unsigned header_size, phoff, shoff, phentsize, phnum, shentsize, shnum, shstrndx;
    unsigned entry_size, flags, offset, vaddr, paddr, filesz, memsz, align;
};

static const struct layout layouts[] = {
    {.bits = 32,
     .word = 4,
     .header_size = 52,
     .phoff = 28,
     .shoff = 32,
     .phentsize = 42,
     .phnum = 44,
     .shentsize = 46,
     .shnum = 48,
     .shstrndx = 50,
     .entry_size = 32,
     .offset = 4,
     .vaddr = 8,
     .paddr = 12,
     .filesz = 16,
     .memsz = 20,
     .flags = 24,
     .align = 28},
    {.bits = 64,
     .word = 8,
     .header_size = 64,
     .phoff = 32,
     .shoff = 40,
     .phentsize = 54,
     .phnum = 56,
     .shentsize = 58,
     .shnum = 60,
     .shstrndx = 62,
     .entry_size = 56,
     .flags = 4,
     .offset = 8,
     .vaddr = 16,
     .paddr = 24,
     .filesz = 32,
     .memsz = 40,
     .align = 48},
};

enum {
    HEADER_MAX = 64,
    E_CLASS = 4,
    E_DATA = 5,
    E_TYPE = 16,
    E_MACHINE = 18,
    PN_XNUM = 0xffff
};

static const unsigned char magic[4] = {0x7f, 'E', 'L', 'F'};

/* What else an integrator may hold in hands. */
static int fail_magic(const unsigned char *head, const struct image_file *file,
                      struct qvm_error *err)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *advice;
    } known[] = {
        {"\x28\xb5\x2f\xfd", 4, "compressed by zstd: zstd -d it first"},
        {"\xfd"
         "7zXZ",
         5, "compressed by xz: xz -d it first"},
        {"\x04\x22\x4d\x18", 4, "compressed by lz4: lz4 -d it first"},
        {"BZh", 3, "compressed by bzip2: bzip2 -d it first"},
        {"KDUMP   ", 8,
         "a kdump-compressed dump: have it written as ELF: by QEMU with "
         "dump-guest-memory without -z, -l or -s, by makedumpfile with -E"},
        {"DISKDUMP", 8,
         "a diskdump-compressed dump: have it written as ELF by makedumpfile -E"},
        {"makedumpfile", 12,
         "a dump in makedumpfile's flattened form: makedumpfile -R NEW < OLD "
         "rearranges it; what QEMU writes with -z, -l or -s is kdump-compressed then: "
         "let dump-guest-memory write ELF, without these options"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(head, known[i].magic, known[i].size) == 0)
            return qvm_fail(err, QVM_UNSUPPORTED, "%s: %s", file->path, known[i].advice);
    return qvm_fail(err, QVM_MALFORMED, "%s: offset 0: not an ELF file", file->path);
}

/* The class's layout; NULL, and a failure, for a header that is not one. */
static const struct layout *layout_of(const unsigned char *header,
                                      const struct image_file *file, struct qvm_error *err)
{
    if (header[E_CLASS] != 1 && header[E_CLASS] != 2) {
        qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF class %u", file->path, E_CLASS,
                 header[E_CLASS]);
        return NULL;
    }
    if (header[E_DATA] != 1 && header[E_DATA] != 2) {
        qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF byte order %u", file->path, E_DATA,
                 header[E_DATA]);
        return NULL;
    }
    return &layouts[header[E_CLASS] - 1];
}

static int read_header(unsigned char *header, const struct layout **layout,
                       const struct image_file *file, struct qvm_error *err)
{
    size_t present = file->size < HEADER_MAX ? (size_t)file->size : HEADER_MAX;
    size_t compared = present < sizeof magic ? present : sizeof magic;

    memset(header, 0, HEADER_MAX);
    if (image_file_read(file, 0, header, present, err) != 0)
        return -1;
    if (memcmp(header, magic, compared) != 0)
        return fail_magic(header, file, err);
    *layout = &layouts[1];
    if (present > E_DATA && !(*layout = layout_of(header, file, err)))
        return -1;
    if (present < (*layout)->header_size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: ends after %" PRIu64 " bytes, within the ELF header",
                        file->path, file->size);
    return 0;
}

static uint64_t get_word(const struct elf *elf, const struct layout *layout,
                         const unsigned char *at)
{
    return bytes_get(at, layout->word, elf->big_endian);
}

static void decode_segment(struct elf_segment *segment, const unsigned char *entry,
                           const struct elf *elf, const struct layout *layout)
{
    segment->type = bytes_u32(entry, elf->big_endian);
    segment->flags = bytes_u32(entry + layout->flags, elf->big_endian);
    segment->offset = get_word(elf, layout, entry + layout->offset);
    segment->vaddr = get_word(elf, layout, entry + layout->vaddr);
    segment->paddr = get_word(elf, layout, entry + layout->paddr);
    segment->filesz = get_word(elf, layout, entry + layout->filesz);
    segment->memsz = get_word(elf, layout, entry + layout->memsz);
    segment->align = get_word(elf, layout, entry + layout->align);
}

static int check_segment(const struct elf_segment *segment, const struct layout *layout,
                         unsigned index, uint64_t at, const struct image_file *file,
                         struct qvm_error *err)
{
    uint64_t last_address = layout->bits == 32 ? UINT32_MAX : UINT64_MAX;

    /* Of a segment without data the offset means nothing: some writers put -1 there. */
    if (segment->filesz > INT64_MAX || segment->filesz > UINT64_MAX - segment->offset)
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
    if (segment->memsz > 0 && segment->memsz - 1 > last_address - segment->paddr)
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

static int by_offset(const void *a, const void *b)
{
    const struct elf_segment *x = *(struct elf_segment *const *)a;
    const struct elf_segment *y = *(struct elf_segment *const *)b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Marks the PT_NOTE segments that begin inside another one, so that each byte of notes is
 * read once, however many segments show it; and those that are too many. */
static int mark_repeated(struct elf *elf, const char *path, struct qvm_error *err)
{
    struct elf_segment **notes = calloc(elf->count ? elf->count : 1, sizeof(void *));
    uint64_t end = 0;
    size_t count = 0, kept = 0;

    if (!notes)
        return qvm_fail_memory(err, path);
    for (unsigned i = 0; i < elf->count; i++)
        if (elf->segments[i].type == ELF_PT_NOTE && elf->segments[i].filesz > 0)
            notes[count++] = &elf->segments[i];
    qsort(notes, count, sizeof(void *), by_offset);
    for (size_t i = 0; i < count; i++) {
        notes[i]->repeated = notes[i]->offset < end || kept == ELF_NOTE_SEGMENTS_MAX;
        elf->repeated += notes[i]->repeated;
        if (!notes[i]->repeated) {
            end = notes[i]->offset + notes[i]->filesz;
            kept++;
        }
    }
    free(notes);
    return 0;
}

enum { ENTRIES_AT_ONCE = 64, ENTRY_MAX = 56 };

/* Reads the table in blocks: it is not kept beside the segments. */
static int decode_table(struct elf *elf, const struct layout *layout, uint64_t start,
                        const struct image_file *file, struct qvm_error *err)
{
    unsigned char block[ENTRIES_AT_ONCE * ENTRY_MAX];

    elf->segments = calloc(elf->count ? elf->count : 1, sizeof *elf->segments);
    if (!elf->segments)
        return qvm_fail_memory(err, file->path);
    for (unsigned i = 0; i < elf->count; i++) {
        unsigned within = i % ENTRIES_AT_ONCE, left = elf->count - i;
        uint64_t at = start + (uint64_t)i * layout->entry_size;

        if (left > ENTRIES_AT_ONCE)
            left = ENTRIES_AT_ONCE;
        if (within == 0 &&
            image_file_read(file, at, block, (size_t)left * layout->entry_size, err) != 0)
            return -1;
        decode_segment(&elf->segments[i], block + (size_t)within * layout->entry_size, elf,
                       layout);
        if (check_segment(&elf->segments[i], layout, i, at, file, err) != 0)
            return -1;
        extend(elf, &elf->segments[i]);
    }
    return mark_repeated(elf, file->path, err);
}

/* Program headers at `start`, elf->count of them. */
static int read_table(struct elf *elf, const struct layout *layout, uint64_t start,
                      const struct image_file *file, struct qvm_error *err)
{
    size_t size = (size_t)elf->count * layout->entry_size;

    if (size > UINT64_MAX - start)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset %u: program headers at %" PRIu64,
                        file->path, layout->phoff, start);
    elf->extent = start + size > layout->header_size ? start + size : layout->header_size;
    if (elf->extent > file->size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: %" PRIu64 " bytes missing from the program headers",
                        file->path, elf->extent - file->size);
    return decode_table(elf, layout, start, file, err);
}

/* The number of program headers that does not fit the ELF header: section 0 has it. */
static int read_large_count(struct elf *elf, const struct layout *layout,
                            const struct image_file *file, struct qvm_error *err)
{
    struct elf_section first;

    if (elf->sections_at == 0)
        return qvm_fail(
            err, QVM_MALFORMED,
            "%s: offset %u: 65535 program headers or more, and no section header "
            "to count them",
            file->path, layout->phnum);
    if (sections_read(elf, file, 0, &first, err) != 0)
        return -1;
    elf->count = first.info;
    if (elf->count > ELF_SEGMENTS_MAX)
        return qvm_fail(err, QVM_TOO_LARGE, "%s: section 0: %u program headers", file->path,
                        elf->count);
    return 0;
}

static int read_count(struct elf *elf, const struct layout *layout,
                      const unsigned char *header, const struct image_file *file,
                      struct qvm_error *err)
{
    unsigned entry_size = bytes_u16(header + layout->phentsize, elf->big_endian);

    elf->count = bytes_u16(header + layout->phnum, elf->big_endian);
    if (elf->count > 0 && entry_size != layout->entry_size)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %u: program headers of %u bytes, not %u", file->path,
                        layout->phentsize, entry_size, layout->entry_size);
    return elf->count == PN_XNUM ? read_large_count(elf, layout, file, err) : 0;
}

/* The header's fields; `header` gets its bytes, and *layout where the others are in it. */
static int decode_header(struct elf *elf, unsigned char *header,
                         const struct layout **layout, const struct image_file *file,
                         struct qvm_error *err)
{
    *elf = (struct elf){0};
    if (read_header(header, layout, file, err) != 0)
        return -1;
    elf->bits = (*layout)->bits;
    elf->big_endian = header[E_DATA] == 2;
    elf->type = bytes_u16(header + E_TYPE, elf->big_endian);
    elf->machine = bytes_u16(header + E_MACHINE, elf->big_endian);
    elf->sections_at = get_word(elf, *layout, header + (*layout)->shoff);
    elf->section_entry_size = bytes_u16(header + (*layout)->shentsize, elf->big_endian);
    elf->section_count = bytes_u16(header + (*layout)->shnum, elf->big_endian);
    elf->section_names = bytes_u16(header + (*layout)->shstrndx, elf->big_endian);
    return 0;
}

int elf_read_header(struct elf *elf, const struct image_file *file, struct qvm_error *err)
{
    unsigned char header[HEADER_MAX];
    const struct layout *layout = &layouts[1];

    return decode_header(elf, header, &layout, file, err);
}

int elf_read(struct elf *elf, const struct image_file *file, struct qvm_error *err)
{
    unsigned char header[HEADER_MAX];
    const struct layout *layout = &layouts[1];

    if (decode_header(elf, header, &layout, file, err) != 0)
        return -1;
    if (elf->type != ELF_ET_CORE)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF type %u, not a core (4)",
                        file->path, E_TYPE, elf->type);
    if (read_count(elf, layout, header, file, err) == 0 &&
        read_table(elf, layout, get_word(elf, layout, header + layout->phoff), file, err) ==
            0)
        return 0;
    elf_free(elf);
    return -1;
}

void elf_free(struct elf *elf)
{
    free(elf->segments);
    elf->segments = NULL;
}
