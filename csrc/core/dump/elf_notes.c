/* Notes are a sequence without an index. Each is
 *
 *     n_namesz, n_descsz, n_type    three 32-bit words
 *     name                          n_namesz bytes with the NUL, then padding
 *     description                   n_descsz bytes, then padding
 *
 * Each size is checked against what is left of the segment before the iterator moves on by
 * it, so that it always advances, by at least a header, and never reads beyond its segment.
 */
#include "dump/elf_notes.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <inttypes.h>

enum { NOTE_HEADER = 12, NAME_SIZE_MAX = LIMIT(1 << 16, 1 << 7) };

void elf_notes_init(struct elf_notes *notes, const struct elf *elf,
                    const struct image_file *file, int skip)
{
    *notes = (struct elf_notes){.elf = elf, .file = file, .skip = skip};
}

/* Moves on to a segment that has notes left; false at the end. What is too short for a
 * note's header is padding. */
static bool find_segment(struct elf_notes *notes)
{
    const struct elf *elf = notes->elf;

    for (; notes->segment < elf->count; notes->segment++, notes->at = 0) {
        const struct elf_segment *segment = &elf->segments[notes->segment];

        if (segment->type == ELF_PT_NOTE && !segment->repeated &&
            (int64_t)notes->segment != notes->skip && notes->at < segment->filesz &&
            segment->filesz - notes->at >= NOTE_HEADER)
            return true;
    }
    return false;
}

/* Notes are padded to 4 bytes, or to 8 where their segment says so. Sizes are below 2^34
 * here, so rounding up does not wrap. */
static uint64_t padded(const struct elf_segment *segment, uint64_t size)
{
    uint64_t unit = segment->align == 8 ? 8 : 4;

    return (size + unit - 1) / unit * unit;
}

/*     05 00 00 00   50 01 00 00   01 00 00 00   43 4f 52 45 00  00 00 00   ...
 *     namesz 5      descsz 336    type 1        "CORE\0"        padding    336 bytes
 *
 * The name may be empty or without a NUL: neither is an error here. */
int elf_notes_next(struct elf_notes *notes, struct elf_note *note, struct qvm_error *err)
{
    const struct elf_segment *segment;
    unsigned char header[NOTE_HEADER];
    uint64_t left, offset, name_end;
    bool big = notes->elf->big_endian;

    if (!find_segment(notes))
        return 0;
    segment = &notes->elf->segments[notes->segment];
    left = segment->filesz - notes->at;
    offset = segment->offset + notes->at;
    if (image_file_read(notes->file, offset, header, sizeof header, err) != 0)
        return -1;
    note->segment = notes->segment;
    note->name_size = bytes_u32(header, big);
    note->size = bytes_u32(header + 4, big);
    note->type = bytes_u32(header + 8, big);
    /* No sum can wrap: its parts have 32 bits. The last note's padding may be missing. */
    name_end = padded(segment, NOTE_HEADER + (uint64_t)note->name_size);
    if (note->name_size > NAME_SIZE_MAX || name_end + note->size > left)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64 ": a note does not fit its segment",
                        notes->file->path, offset);
    note->name_at = offset + NOTE_HEADER;
    note->offset = offset + name_end;
    notes->at += padded(segment, name_end + note->size);
    return 1;
}

bool elf_notes_are_cut(const struct elf *elf, const struct image_file *file)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *segment = &elf->segments[i];

        if (segment->type == ELF_PT_NOTE && segment->offset + segment->filesz > file->size)
            return true;
    }
    return false;
}
