#include "dump/qnx_note.h"

#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

/* struct kdump_note, <sys/kdump.h>. */
enum {
    NOTE_SIZE = 40,
    NOTE_VERSION = 0,
    NOTE_NUM_CPUS = 4,
    NOTE_REGSET_SIZE = 8,
    NOTE_DUMPINFO = 24,
    NOTE_EXTRA_VALUES = 32,
    NOTE_EXTRA_NAMES = 36
};

/* struct kdump_note_cpu; the registers follow. */
enum { CPU_SIZE = 128, CPU_PGTBL = 0, CPU_CPUNUM = 8, CPU_PROCESS = 28, PROCESS_MAX = 100 };

/* struct kdump, 64-bit; the text follows. In a 32-bit dump the pointer before
 * these members has 4 bytes, and they stand 4 bytes earlier. */
enum { INFO_TEXT_SIZE = 36, INFO_TEXT_INDEX = 40, INFO_SIZE = 44, TEXT_MAX = 16 << 20 };

/* Bytes that pad a size up to a multiple. */
static uint64_t padding(uint64_t size, uint64_t multiple)
{
    return (multiple - size % multiple) % multiple;
}

/* Whether the names are padded is documented nowhere, so the size of the segment decides:
 * `rest` is what it holds besides the note, the names and the records. */
static bool explains(uint64_t rest, uint32_t names_size)
{
    return rest == 0 || rest == padding(names_size, 4) || rest == padding(names_size, 8);
}

static int read_names(struct qnx_note *qnx, uint64_t at, uint32_t size,
                      const struct image_file *file, struct qvm_error *err)
{
    if (size == 0)
        return 0;
    qnx->names = malloc((size_t)size + 1);
    if (!qnx->names)
        return qvm_fail_memory(err, file->path);
    qnx->names[size] = '\0';
    return image_file_read(file, at, qnx->names, size, err);
}

/* Names without a terminator, or that do not match the values, are left uncounted. */
static int index_names(struct qnx_note *qnx, uint32_t size, const struct image_file *file,
                       struct qvm_error *err)
{
    const char *name = qnx->names;
    unsigned count = 0;

    for (uint32_t i = 0; i < size; i++)
        count += qnx->names[i] == '\0';
    if (size == 0 || qnx->names[size - 1] != '\0' || count > QNX_NOTE_NAMED_MAX ||
        count * UINT64_C(8) != qnx->extra_size)
        return 0;
    qnx->extra = calloc(count, sizeof *qnx->extra);
    if (!qnx->extra)
        return qvm_fail_memory(err, file->path);
    for (unsigned i = 0; i < count; i++) {
        qnx->extra[i] = (struct register_field){name, 8 * i, 8};
        name += strlen(name) + 1;
    }
    qnx->extra_count = count;
    return 0;
}

static bool has_set_size(const struct register_set *set, uint32_t regset, uint32_t extra)
{
    return regset >= extra &&
           (regset - extra == set->size || regset - extra == set->padded);
}

static int fits(struct qnx_note *qnx, const unsigned char *note, uint64_t size,
                uint64_t *pad)
{
    uint32_t regset = bytes_u32(note + NOTE_REGSET_SIZE, qnx->big_endian);
    uint32_t names = bytes_u32(note + NOTE_EXTRA_NAMES, qnx->big_endian);
    uint64_t records;

    qnx->extra_size = bytes_u32(note + NOTE_EXTRA_VALUES, qnx->big_endian);
    qnx->cpus = bytes_u16(note + NOTE_NUM_CPUS, qnx->big_endian);
    qnx->dumpinfo = bytes_u32(note + NOTE_DUMPINFO, qnx->big_endian);
    if (note[NOTE_VERSION] != 0 || qnx->cpus == 0)
        return 0;
    if (qnx->extra_size > QNX_NOTE_EXTRA_MAX || names > QNX_NOTE_EXTRA_MAX)
        return 0;
    if (!has_set_size(qnx->set, regset, qnx->extra_size))
        return 0;
    qnx->record_size = (uint64_t)CPU_SIZE + regset;
    qnx->extra_at = CPU_SIZE + (regset - qnx->extra_size);
    records = qnx->cpus * qnx->record_size; /* below 2^16 * 2^22 */
    *pad = size - (NOTE_SIZE + records + names);
    qnx->rejected = size < NOTE_SIZE + records + names || !explains(*pad, names);
    return !qnx->rejected;
}

/* Of the records, those that a file which ends among them still has. */
static void count_present(struct qnx_note *qnx, const struct image_file *file)
{
    uint64_t left = file->size > qnx->records ? file->size - qnx->records : 0;
    uint64_t whole = left / qnx->record_size;

    if (whole < qnx->cpus) {
        qnx->missing = qnx->cpus - (unsigned)whole;
        qnx->cpus = (unsigned)whole;
    }
}

int qnx_note_probe(struct qnx_note *qnx, const struct elf *elf,
                   const struct elf_segment *segment, const struct image_file *file,
                   struct qvm_error *err)
{
    unsigned char note[NOTE_SIZE];
    uint32_t names_size;
    uint64_t pad;

    *qnx =
        (struct qnx_note){.big_endian = elf->big_endian, .set = registers_of(elf->machine)};
    if (!qnx->set) /* the rest is zero: no CPUs */
        return 0;
    if (segment->filesz >= NOTE_SIZE &&
        image_file_read(file, segment->offset, note, sizeof note, err) != 0)
        return -1;
    if (segment->filesz < NOTE_SIZE || !fits(qnx, note, segment->filesz, &pad)) {
        *qnx = (struct qnx_note){.rejected = qnx->rejected};
        return 0;
    }
    names_size = bytes_u32(note + NOTE_EXTRA_NAMES, qnx->big_endian);
    qnx->records = segment->offset + NOTE_SIZE + names_size + pad;
    if (read_names(qnx, segment->offset + NOTE_SIZE, names_size, file, err) != 0 ||
        index_names(qnx, names_size, file, err) != 0) {
        qnx_note_free(qnx);
        return -1;
    }
    count_present(qnx, file);
    return 1;
}

void qnx_note_free(struct qnx_note *qnx)
{
    free(qnx->names);
    free(qnx->extra);
    *qnx = (struct qnx_note){0};
}

int qnx_note_read_vcpu(const struct qnx_note *qnx, unsigned index,
                       const struct image_file *file, struct vcpu *vcpu,
                       struct qvm_error *err)
{
    uint64_t at = qnx->records + index * qnx->record_size;
    unsigned char *record = malloc((size_t)qnx->record_size);

    if (!record)
        return qvm_fail_memory(err, file->path);
    if (image_file_read(file, at, record, (size_t)qnx->record_size, err) != 0) {
        free(record);
        return -1;
    }
    *vcpu = (struct vcpu){.data = record,
                          .pgtbl = bytes_u64(record + CPU_PGTBL, qnx->big_endian),
                          .cpunum = bytes_u32(record + CPU_CPUNUM, qnx->big_endian),
                          .set = qnx->set,
                          .registers = record + CPU_SIZE,
                          .extra_fields = qnx->extra,
                          .extra_count = qnx->extra_count,
                          .extra = record + qnx->extra_at,
                          .extra_size = qnx->extra_size};
    memcpy(vcpu->process, record + CPU_PROCESS, PROCESS_MAX);
    return 0;
}

static const struct elf_segment *segment_without_notes(const struct elf *elf,
                                                       uint32_t index)
{
    for (unsigned i = 0; i < elf->count; i++) {
        if (elf->segments[i].type == ELF_PT_NOTE)
            continue;
        if (index-- == 0)
            return &elf->segments[i];
    }
    return NULL;
}

/* Memory that happens to stand where the text is expected is not text. */
static bool is_text(const char *text, size_t size)
{
    static const char controls[] = {'\t', '\n', '\r', '\f', '\033'};

    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' && !memchr(controls, text[i], sizeof controls))
            return false;
    return true;
}

/* The text's size as the structure states it; 0 where the segment holds no such structure.
 */
static int text_size(const struct qnx_note *qnx, const struct elf_segment *segment,
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
    const struct elf_segment *segment = segment_without_notes(elf, qnx->dumpinfo);
    unsigned info_size = elf->bits == 32 ? INFO_SIZE - 4 : INFO_SIZE;
    uint32_t stated;

    *text = NULL;
    if (!qnx->set) /* no such note */
        return 0;
    if (text_size(qnx, segment, info_size, file, &stated, err) != 0)
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
    for (*size = stated; *size > 0 && (*text)[*size - 1] == '\0';)
        --*size;
    if (*size == 0 || !is_text(*text, *size)) {
        free(*text);
        *text = NULL;
    }
    return 0;
}
