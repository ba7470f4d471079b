/* QNX's note (public header <sys/kdump.h>). The segment holds, without ELF note headers:
 *
 *     struct kdump_note        40 bytes: version, number of CPUs, sizes, segment numbers
 *     names                    extra_reg_name_size bytes, NUL-terminated (since SDP 8)
 *     for each CPU:
 *       struct kdump_note_cpu  128 bytes: page table, number, name of the process
 *       registers              regset_size bytes: the CPU's own set, then the extra values
 *
 * Nothing marks such a segment, so it is recognised by arithmetic: the sizes that the note
 * states must fit the machine's register set, and together account for every byte of the
 * segment. One thing is documented nowhere, whether padding follows the names; what is left
 * over decides it.
 *
 * The dump's text is not in the note but in a segment that it names: see qnx_log.c. */
#include "dump/qnx_note.h"

#include "dump/format.h"
#include "util/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* struct kdump_note.
 *
 *     0     1    2     3      4        6              8            12
 *     ver   sig  code  fault  num_cpus faulting_cpu   regset_size  cpu_info
 *     16                20               24                28
 *     procnto_segnum    syspage_segnum   dumpinfo_segnum   cpu_info_hi
 *     32                     36
 *     extra_reg_value_size   extra_reg_name_size
 *
 * The last three words are spare before SDP 8, and then 0: no extra registers. */
enum {
    NOTE_SIZE = 40,
    NOTE_VERSION = 0,
    NOTE_NUM_CPUS = 4,
    NOTE_REGSET_SIZE = 8,
    NOTE_DUMPINFO = 24,
    NOTE_EXTRA_VALUES = 32,
    NOTE_EXTRA_NAMES = 36
};

/* struct kdump_note_cpu; the registers follow. pgtbl(8) cpunum(4) spare(16)
 * process_name(100). */
enum { CPU_SIZE = 128, CPU_PGTBL = 0, CPU_CPUNUM = 8, CPU_PROCESS = 28, PROCESS_MAX = 100 };

/* The note --------------------------------------------------------------------------- */

/* Bytes that pad a size up to a multiple. */
static uint64_t padding(uint64_t size, uint64_t multiple)
{
    return (multiple - size % multiple) % multiple;
}

/* Can `rest`, what the segment holds besides the note, the names and the records, be
 * padding of the names? */
static bool is_padding(uint64_t rest, uint32_t names_size)
{
    return rest == 0 || rest == padding(names_size, 4) || rest == padding(names_size, 8);
}

/* Reads the names' bytes, and ends them with a NUL of our own. */
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

/* Makes a field of each name: the n-th of the values, 8 bytes each. Names without a
 * terminator, or that do not match the values in number, are left uncounted.
 *
 *     names     "TTBR0\0TTBR1\0"      an example: two terminators, two names
 *     values    16 bytes              8 for each: they match
 *
 * That a value has 8 bytes is an assumption, which is why the sizes must confirm it.
 * Otherwise the values are given as bytes, without names. */
static int index_names(struct qnx_note *qnx, uint32_t size, const struct image_file *file,
                       struct qvm_error *err)
{
    const char *name = qnx->names;
    unsigned count = 0;

    for (uint32_t i = 0; i < size; i++)
        count += qnx->names[i] == '\0';
    if (count == 0 || qnx->names[size - 1] != '\0' || count > QNX_NOTE_NAMED_MAX ||
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

/* A record's registers are the machine's own set, with its padding or without, and the
 * extra values. */
static bool has_set_size(const struct register_set *set, uint32_t regset, uint32_t extra)
{
    return regset >= extra &&
           (regset - extra == set->size || regset - extra == set->padded);
}

/* Decodes the fixed part of the note, in a segment of `size` bytes, and says whether its
 * sizes fit. *pad is set to the padding after the names. A note whose register set fits,
 * but whose parts do not add up to the segment, is doubtful. In a little-endian file a
 * segment of ELF notes fails at the version, as its first byte is the length of a name. The
 * size of the register set is the strongest check: other bytes are unlikely to hold it by
 * chance. */
static int decode(struct qnx_note *qnx, const unsigned char *note, uint64_t size,
                  uint64_t *pad)
{
    uint32_t regset = bytes_u32(note + NOTE_REGSET_SIZE, qnx->big_endian);
    uint32_t names = bytes_u32(note + NOTE_EXTRA_NAMES, qnx->big_endian);
    uint64_t parts;

    qnx->extra_size = bytes_u32(note + NOTE_EXTRA_VALUES, qnx->big_endian);
    qnx->vcpu_count = bytes_u16(note + NOTE_NUM_CPUS, qnx->big_endian);
    qnx->dumpinfo = bytes_u32(note + NOTE_DUMPINFO, qnx->big_endian);
    if (note[NOTE_VERSION] != 0 || qnx->vcpu_count == 0)
        return FORMAT_OTHER;
    if (qnx->extra_size > QNX_NOTE_EXTRA_MAX || names > QNX_NOTE_EXTRA_MAX)
        return FORMAT_OTHER;
    if (!has_set_size(qnx->set, regset, qnx->extra_size))
        return FORMAT_OTHER;
    qnx->record_size = (uint64_t)CPU_SIZE + regset;
    qnx->extra_at = CPU_SIZE + (regset - qnx->extra_size);
    /* The records take less than 2^16 * 2^22 bytes: no sum can wrap. */
    parts = NOTE_SIZE + names + qnx->vcpu_count * qnx->record_size;
    *pad = size - parts;
    return size >= parts && is_padding(*pad, names) ? FORMAT_FOUND : FORMAT_DOUBTFUL;
}

/* Of the records, counts those that a file which ends among them still has. A record that
 * is cut counts as lost: half of a vCPU's registers would look like a whole set. */
static void count_present(struct qnx_note *qnx, const struct image_file *file)
{
    uint64_t left = file->size > qnx->records ? file->size - qnx->records : 0;
    uint64_t whole = left / qnx->record_size;

    if (whole < qnx->vcpu_count) {
        qnx->lost = qnx->vcpu_count - (unsigned)whole;
        qnx->vcpu_count = (unsigned)whole;
    }
}

int qnx_note_read(struct qnx_note *qnx, const struct elf *elf,
                  const struct elf_segment *segment, const struct image_file *file,
                  struct qvm_error *err)
{
    unsigned char note[NOTE_SIZE];
    uint32_t names_size;
    uint64_t pad = 0;
    int found;

    *qnx =
        (struct qnx_note){.big_endian = elf->big_endian, .set = registers_of(elf->machine)};
    if (!qnx->set || segment->filesz < NOTE_SIZE)
        return FORMAT_OTHER;
    if (image_file_read(file, segment->offset, note, sizeof note, err) != 0)
        return -1;
    found = decode(qnx, note, segment->filesz, &pad);
    if (found != FORMAT_FOUND)
        return found;
    names_size = bytes_u32(note + NOTE_EXTRA_NAMES, qnx->big_endian);
    qnx->records = segment->offset + NOTE_SIZE + names_size + pad;
    if (read_names(qnx, segment->offset + NOTE_SIZE, names_size, file, err) != 0 ||
        index_names(qnx, names_size, file, err) != 0) {
        qnx_note_free(qnx);
        return -1;
    }
    count_present(qnx, file);
    return FORMAT_FOUND;
}

void qnx_note_free(struct qnx_note *qnx)
{
    free(qnx->names);
    free(qnx->extra);
    *qnx = (struct qnx_note){0};
}

/* One read for the whole record: the vCPU points into it. */
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

/* The format ------------------------------------------------------------------------- */

struct state {
    struct qnx_note note;
    int segment; /* the PT_NOTE that it is in */
};

static const struct qnx_note *note_of(const struct dump *dump)
{
    return &((const struct state *)dump->state)->note;
}

/* Looks for the note in every PT_NOTE segment: a file may have ELF notes, too. */
static int find_note(struct state *state, const struct dump *dump, struct qvm_error *err)
{
    int result = FORMAT_OTHER;

    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *segment = &dump->elf.segments[i];
        int found = FORMAT_OTHER;

        if (segment->type == ELF_PT_NOTE && !segment->repeated && segment->filesz > 0)
            found = qnx_note_read(&state->note, &dump->elf, segment, &dump->file, err);
        /* In a partial dump the note may be missing, or its beginning be all there is. */
        if (found < 0 && err->code == QVM_TRUNCATED && dump->partial)
            found = FORMAT_OTHER;
        if (found == FORMAT_DOUBTFUL)
            result = found;
        state->segment = (int)i;
        if (found == FORMAT_FOUND || found < 0)
            return found;
    }
    return result;
}

/* The state is kept only if the file is of this format. */
static int probe(struct dump *dump, struct qvm_error *err)
{
    struct state *state = calloc(1, sizeof *state);
    int found;

    if (!state)
        return qvm_fail_memory(err, dump->file.path);
    found = find_note(state, dump, err);
    if (found == FORMAT_FOUND)
        dump->state = state;
    else
        free(state);
    return found;
}

static void release(struct dump *dump)
{
    struct state *state = dump->state;

    qnx_note_free(&state->note);
    free(state);
}

static unsigned vcpu_count(const struct dump *dump)
{
    return note_of(dump)->vcpu_count;
}

static unsigned vcpus_lost(const struct dump *dump)
{
    return note_of(dump)->lost;
}

static int read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                     struct qvm_error *err)
{
    return qnx_note_read_vcpu(note_of(dump), index, &dump->file, vcpu, err);
}

static int read_log(const struct dump *dump, char **text, size_t *size,
                    struct qvm_error *err)
{
    return qnx_note_read_log(note_of(dump), &dump->elf, &dump->file, text, size, err);
}

static int note_segment(const struct dump *dump)
{
    return ((const struct state *)dump->state)->segment;
}

static bool warn_lost(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    unsigned lost = note_of(dump)->lost;

    if (lost > 0)
        snprintf(text, DUMP_WARNING_SIZE, "the registers of %u vCPUs are missing", lost);
    return lost > 0;
}

/* Names and values are counted separately in the note, so they may not match. */
static bool warn_unnamed(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    const struct qnx_note *note = note_of(dump);
    bool unnamed = note->extra_size > 0 && note->extra_count == 0;

    if (unnamed)
        snprintf(text, DUMP_WARNING_SIZE,
                 "the extra registers have no names that fit, or too many: they are given "
                 "as bytes");
    return unnamed;
}

static dump_warn *const warnings[] = {warn_lost, warn_unnamed, NULL};

/* Memory beyond a segment's data was not dumped. */
const struct dump_format qnx_format = {.name = "qnx",
                                       .zero_fill = false,
                                       .warnings = warnings,
                                       .probe = probe,
                                       .release = release,
                                       .vcpu_count = vcpu_count,
                                       .vcpus_lost = vcpus_lost,
                                       .read_vcpu = read_vcpu,
                                       .read_log = read_log,
                                       .note_segment = note_segment};
