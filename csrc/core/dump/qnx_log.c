/* The text of a QNX dump. The note names a segment by number (dumpinfo_segnum), and that
 * holds
 *
 *     struct kdump    44 bytes; 40 in a 32-bit dump, where the pointer in it is shorter
 *     text            kp_size bytes, the oldest first
 *
 * A dump without text may name any segment, whose bytes are then memory of the guest. So
 * the sizes must fit the segment, and the text must look like text; else there is none. */
#include "dump/qnx_note.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <stdlib.h>
#include <string.h>

/* struct kdump, 64-bit: offsets of kp_size and kp_idx, and its size.
 *
 *     0          4               8         12   16       24         36       40
 *     dump_type  kdebug_wanted   compress  big  pointer  spare(12)  kp_size  kp_idx */
enum { INFO_TEXT_SIZE = 36, INFO_TEXT_INDEX = 40, INFO_SIZE = 44 };

/* Bytes of the pointer before these members that a 32-bit dump does not have. */
enum { POINTER_SHRINKS = 4 };

enum { TEXT_MAX = LIMIT(16 << 20, 1 << 10) };

/* The note counts segments without those of type PT_NOTE. */
static const struct elf_segment *numbered_segment(const struct elf *elf, uint32_t number)
{
    for (unsigned i = 0; i < elf->count; i++) {
        if (elf->segments[i].type == ELF_PT_NOTE)
            continue;
        if (number-- == 0)
            return &elf->segments[i];
    }
    return NULL;
}

/* Text has no control characters but white space and the escape of colours. Bytes above
 * 0x7f pass, in whatever encoding the host writes. */
static bool is_text(const char *text, size_t size)
{
    static const char controls[] = {'\t', '\n', '\r', '\f', '\033'};

    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' && !memchr(controls, text[i], sizeof controls))
            return false;
    return true;
}

/* Reads the text's size as the structure states it; 0 if the segment holds no such
 * structure: the text must fit the segment, and kp_idx, where the writer stood, must be in
 * the text. */
static int read_text_size(const struct qnx_note *qnx, const struct elf_segment *segment,
                          unsigned info_size, const struct image_file *file, uint32_t *size,
                          struct qvm_error *err)
{
    unsigned char info[INFO_SIZE];
    size_t shift = INFO_SIZE - info_size;

    *size = 0;
    if (!segment || segment->filesz < info_size)
        return 0;
    if (image_file_read(file, segment->offset, info, info_size, err) != 0)
        return -1;
    *size = bytes_u32(info + INFO_TEXT_SIZE - shift, qnx->big_endian);
    if (*size > segment->filesz - info_size || *size > TEXT_MAX ||
        bytes_u32(info + INFO_TEXT_INDEX - shift, qnx->big_endian) > *size)
        *size = 0;
    return 0;
}

int qnx_note_read_log(const struct qnx_note *qnx, const struct elf *elf,
                      const struct image_file *file, char **text, size_t *size,
                      struct qvm_error *err)
{
    const struct elf_segment *segment = numbered_segment(elf, qnx->dumpinfo);
    unsigned info_size = elf->bits == 32 ? INFO_SIZE - POINTER_SHRINKS : INFO_SIZE;
    uint32_t stated;

    *text = NULL;
    if (read_text_size(qnx, segment, info_size, file, &stated, err) != 0)
        return -1;
    if (stated == 0)
        return 0;
    *text = malloc(stated);
    if (!*text)
        return qvm_fail_memory(err, file->path);
    if (image_file_read(file, segment->offset + info_size, *text, stated, err) != 0) {
        free(*text);
        *text = NULL;
        return -1;
    }
    /* The writer may not have used all of its buffer. */
    for (*size = stated; *size > 0 && (*text)[*size - 1] == '\0';)
        --*size;
    if (*size == 0 || !is_text(*text, *size)) {
        free(*text);
        *text = NULL;
    }
    return 0;
}
