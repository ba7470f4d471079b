/* The program headers of an ELF file.
 *
 * Bounds are checked without a sum that could wrap: "offset + size <= limit" is written as
 * "size <= limit - offset" where offset <= limit is known, and the last address of a range
 * (inclusive) is used in place of its end, which has no value for a range at the top of the
 * address space. Once check_segment() has passed, offset + filesz and paddr + memsz - 1 do
 * not wrap wherever they are computed.
 *
 * A header may claim 2^32 - 1 entries of any content. More than ELF_SEGMENTS_MAX are
 * refused before room is made for them, and the table is read in blocks of bounded size. */
#include "dump/elf.h"

#include "dump/elf_sections.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>

/* Where the fields of a program header are; p_type is the first word. */
struct layout {
    unsigned word, size; /* word: bytes of an address or offset */
    unsigned flags, offset, vaddr, paddr, filesz, memsz, align;
    unsigned header_size;      /* bytes of the ELF header, */
    unsigned phoff, phentsize; /* and where it has these fields, for messages */
    unsigned phnum;
    uint64_t last_address;
};

static const struct layout layout32 = {.word = 4,
                                       .size = 32,
                                       .offset = 4,
                                       .vaddr = 8,
                                       .paddr = 12,
                                       .filesz = 16,
                                       .memsz = 20,
                                       .flags = 24,
                                       .align = 28,
                                       .header_size = 52,
                                       .phoff = 28,
                                       .phentsize = 42,
                                       .phnum = 44,
                                       .last_address = UINT32_MAX};

static const struct layout layout64 = {.word = 8,
                                       .size = 56,
                                       .flags = 4,
                                       .offset = 8,
                                       .vaddr = 16,
                                       .paddr = 24,
                                       .filesz = 32,
                                       .memsz = 40,
                                       .align = 48,
                                       .header_size = 64,
                                       .phoff = 32,
                                       .phentsize = 54,
                                       .phnum = 56,
                                       .last_address = UINT64_MAX};

/* PN_XNUM: the count that stands for "more than fits". */
enum { PN_XNUM = 0xffff, ENTRIES_AT_ONCE = 64, ENTRY_MAX = 56 };

static const struct layout *layout_of(const struct elf *elf)
{
    return elf->bits == 32 ? &layout32 : &layout64;
}

/* Both classes have the same fields, in another order and of another size. */
static void decode(struct elf_segment *segment, const unsigned char *entry,
                   const struct layout *at, bool big)
{
    segment->type = bytes_u32(entry, big);
    segment->flags = bytes_u32(entry + at->flags, big);
    segment->offset = bytes_get(entry + at->offset, at->word, big);
    segment->vaddr = bytes_get(entry + at->vaddr, at->word, big);
    segment->paddr = bytes_get(entry + at->paddr, at->word, big);
    segment->filesz = bytes_get(entry + at->filesz, at->word, big);
    segment->memsz = bytes_get(entry + at->memsz, at->word, big);
    segment->align = bytes_get(entry + at->align, at->word, big);
}

/* Checks that neither the file range nor the address range of a segment wraps. `at` is the
 * offset of its header in the file. */
static int check_segment(const struct elf_segment *segment, uint64_t last_address,
                         unsigned index, uint64_t at, const struct image_file *file,
                         struct qvm_error *err)
{
    /* The offset of a segment without data means nothing: some writers put -1 there. */
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

/* Notes the end of the furthest segment: bytes the file must have to be whole. */
static void extend(struct elf *elf, const struct elf_segment *segment)
{
    uint64_t end = segment->offset + segment->filesz;

    if (segment->filesz > 0 && end > elf->extent)
        elf->extent = end;
}

/* Equal offsets in the file's order, so that the result does not depend on qsort(). */
static int by_offset(const void *a, const void *b)
{
    const struct elf_segment *x = *(struct elf_segment *const *)a;
    const struct elf_segment *y = *(struct elf_segment *const *)b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Marks the PT_NOTE segments that begin inside another one, so that each byte of notes is
 * read once, however many segments show it; and those that are too many. In ascending order
 * of their offsets, a segment overlaps an earlier one if it begins before the highest end
 * so far, and that is the end of the last one kept. Without this, a file of 65000 headers
 * that all show the same 100 MB of notes would make an iterator read terabytes. */
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

/* Reads the table in blocks: its bytes are not kept beside the segments. */
static int decode_table(struct elf *elf, const struct layout *layout,
                        const struct image_file *file, struct qvm_error *err)
{
    unsigned char block[ENTRIES_AT_ONCE * ENTRY_MAX];

    elf->segments = calloc(elf->count ? elf->count : 1, sizeof *elf->segments);
    if (!elf->segments)
        return qvm_fail_memory(err, file->path);
    for (unsigned i = 0; i < elf->count; i++) {
        struct elf_segment *segment = &elf->segments[i];
        unsigned within = i % ENTRIES_AT_ONCE, left = elf->count - i;
        uint64_t at = elf->programs.offset + (uint64_t)i * layout->size;

        if (left > ENTRIES_AT_ONCE)
            left = ENTRIES_AT_ONCE;
        if (within == 0 &&
            image_file_read(file, at, block, (size_t)left * layout->size, err) != 0)
            return -1;
        decode(segment, block + (size_t)within * layout->size, layout, elf->big_endian);
        if (check_segment(segment, layout->last_address, i, at, file, err) != 0)
            return -1;
        extend(elf, segment);
    }
    return mark_repeated(elf, file->path, err);
}

/* Checks that the file has the table, and reads it. The table's end is below 2^64: an entry
 * has at most 56 bytes and the count has 32 bits, so only the sum with the start can wrap.
 * A file that lacks a part of the table is refused, since what its other segments hold is
 * then unknown. */
static int read_table(struct elf *elf, const struct layout *layout,
                      const struct image_file *file, struct qvm_error *err)
{
    size_t size = (size_t)elf->count * layout->size;
    uint64_t start = elf->programs.offset;

    if (size > UINT64_MAX - start)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset %u: program headers at %" PRIu64,
                        file->path, layout->phoff, start);
    elf->extent = start + size > layout->header_size ? start + size : layout->header_size;
    if (elf->extent > file->size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: %" PRIu64 " bytes missing from the program headers",
                        file->path, elf->extent - file->size);
    return decode_table(elf, layout, file, err);
}

/* Reads a number of program headers that does not fit the ELF header: section 0 has it. The
 * ELF header has 16 bits for it. With 65535 segments or more, e_phnum is PN_XNUM and the
 * count is in sh_info of section header 0 (elf(5), e_phnum). */
static int read_large_count(struct elf *elf, const struct layout *layout,
                            const struct image_file *file, struct qvm_error *err)
{
    struct elf_section first;

    if (elf->sections.offset == 0)
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

/* The class fixes the size of an entry: a header that states another one is not believed.
 */
static int read_count(struct elf *elf, const struct layout *layout,
                      const struct image_file *file, struct qvm_error *err)
{
    elf->count = elf->programs.count;
    if (elf->count > 0 && elf->programs.entry_size != layout->size)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %u: program headers of %u bytes, not %u", file->path,
                        layout->phentsize, elf->programs.entry_size, layout->size);
    return elf->count == PN_XNUM ? read_large_count(elf, layout, file, err) : 0;
}

int elf_read_segments(struct elf *elf, const struct image_file *file, struct qvm_error *err)
{
    const struct layout *layout = layout_of(elf);

    if (read_count(elf, layout, file, err) == 0 && read_table(elf, layout, file, err) == 0)
        return 0;
    elf_free(elf);
    return -1;
}
