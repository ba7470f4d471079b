/* A process's core has "CORE" notes as well, of its threads, so QEMU's are told apart by
 * three things: every note is of a type and size that QEMU writes for this machine
 * (qemu_machines.c); a prstatus has zeros where a process has signals and times; and the
 * vCPUs are numbered from 1, ascending.
 *
 * Which state note belongs to which vCPU follows from the order alone:
 *
 *     AArch64   prstatus 1, state 1, prstatus 2, state 2, ...
 *     x86_64    prstatus 1, prstatus 2, ..., state 1, state 2, ...
 *
 * On x86_64, where one of the states is missing, the owners of the others are unknown, and
 * none is used. */
#include "dump/qemu_notes.h"

#include "dump/elf_notes.h"
#include "dump/format.h"
#include "dump/qemu_machines.h"
#include "util/bytes.h"
#include "util/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* File offsets of a vCPU's notes. */
struct qemu_vcpu {
    uint64_t prstatus, state;
    uint32_t state_size; /* 0: there is none */
    uint32_t cpunum;
};

/* Offset and size of the process id in a prstatus (Linux, struct elf_prstatus, 64-bit). */
enum { PRSTATUS_PID = 32, PRSTATUS_PID_SIZE = 4 };
/* Far more than QEMU makes: what a damaged or hostile file may cost. */
enum { VCPUS_MAX = LIMIT(65536, 4), NOTES_MAX = LIMIT(1 << 18, 20) };

/* Reading ---------------------------------------------------------------------------- */

/* Finds the note's type by its name, number and size; NULL for one that QEMU does not
 * write. The last byte must be a NUL, so the comparison ends within the name. A type alone
 * says nothing: 1 is NT_PRSTATUS only with the name "CORE". */
static int find_type(const struct qemu_machine *machine, const struct elf_note *note,
                     const struct image_file *file, const struct qemu_note_type **type,
                     struct qvm_error *err)
{
    char name[16];

    *type = NULL;
    if (note->name_size == 0 || note->name_size > sizeof name)
        return 0;
    if (image_file_read(file, note->name_at, name, note->name_size, err) != 0)
        return -1;
    if (name[note->name_size - 1] != '\0')
        return 0;
    for (const struct qemu_note_type *t = machine->notes; t->name; t++)
        if (t->type == note->type && strcmp(t->name, name) == 0 &&
            note->size >= t->size_min && note->size <= t->size_max)
            *type = t;
    return 0;
}

/* Reads the number of a vCPU, which QEMU writes where a process has its id; 0 where the
 * rest of the prstatus shows that it is a process's.
 *
 *     0 ............. 31   32 .. 35   36 ........... 111   112 ...
 *     signal, pending      pid        ppid, times          registers
 *     zeros from QEMU      CPU + 1    zeros from QEMU */
static int read_number(uint64_t offset, uint32_t *number, const struct elf *elf,
                       const struct image_file *file, struct qvm_error *err)
{
    unsigned char head[QEMU_PRSTATUS_REGISTERS];
    size_t rest = PRSTATUS_PID + PRSTATUS_PID_SIZE;

    if (image_file_read(file, offset, head, sizeof head, err) != 0)
        return -1;
    *number = bytes_u32(head + PRSTATUS_PID, elf->big_endian);
    if (!bytes_are_zero(head, PRSTATUS_PID) ||
        !bytes_are_zero(head + rest, sizeof head - rest))
        *number = 0;
    return 0;
}

/* Makes room for one more vCPU. */
static int grow(struct qemu_notes *qemu, const struct image_file *file,
                struct qvm_error *err)
{
    unsigned capacity = qemu->capacity ? 2 * qemu->capacity : 8;
    struct qemu_vcpu *vcpus;

    if (qemu->vcpu_count < qemu->capacity)
        return 0;
    vcpus = realloc(qemu->vcpus, capacity * sizeof *vcpus);
    if (!vcpus)
        return qvm_fail_memory(err, file->path);
    qemu->vcpus = vcpus;
    qemu->capacity = capacity;
    return 0;
}

/* Adds a vCPU. 1, or 0 where its number is not that of a QEMU vCPU at this place, or -1. A
 * gap in the numbers is a vCPU whose note is missing. Invariant: vcpu_count + missing is
 * the highest number so far, at most VCPUS_MAX, whatever the file says. */
static int add_prstatus(struct qemu_notes *qemu, uint64_t offset, const struct elf *elf,
                        const struct image_file *file, struct qvm_error *err)
{
    uint32_t next = qemu->vcpu_count + qemu->missing + 1, number;

    if (read_number(offset, &number, elf, file, err) != 0)
        return -1;
    if (number < next || number > VCPUS_MAX)
        return 0;
    if (grow(qemu, file, err) != 0)
        return -1;
    qemu->missing += number - next;
    qemu->vcpus[qemu->vcpu_count++] =
        (struct qemu_vcpu){.prstatus = offset, .cpunum = number - 1};
    return 1;
}

/* Adds a state to the vCPU that it belongs to by the order. 1, or 0 where there is no such
 * vCPU or it has a state already. */
static int add_state(struct qemu_notes *qemu, const struct elf_note *note)
{
    unsigned index = qemu->machine->by_vcpu ? qemu->vcpu_count - 1 : qemu->state_count;

    if (qemu->state_count >= qemu->vcpu_count || qemu->vcpus[index].state_size > 0)
        return 0;
    qemu->vcpus[index].state = note->offset;
    qemu->vcpus[index].state_size = note->size;
    qemu->state_count++;
    return 1;
}

/* Adds one note. 1, or 0 where QEMU would not have written it here, or -1. */
static int add_note(struct qemu_notes *qemu, const struct elf_note *note,
                    const struct elf *elf, const struct image_file *file,
                    struct qvm_error *err)
{
    const struct qemu_note_type *type;

    if (find_type(qemu->machine, note, file, &type, err) != 0)
        return -1;
    if (!type)
        return 0;
    if (type->kind == QEMU_OTHER)
        return 1;
    if (image_file_check(file, note->offset, note->size, err) != 0)
        return -1;
    return type->kind == QEMU_STATE ? add_state(qemu, note)
                                    : add_prstatus(qemu, note->offset, elf, file, err);
}

/* Judges the notes when all were added, and drops states whose owners are not known.
 * Without any state, or with more vCPUs missing than found, they are another writer's that
 * happens to use the same numbers. */
static int conclude(struct qemu_notes *qemu)
{
    if (qemu->vcpu_count == 0)
        return FORMAT_OTHER;
    if (qemu->missing > qemu->vcpu_count || (qemu->state_count == 0 && !qemu->cut))
        return FORMAT_DOUBTFUL;
    if (qemu->state_count < qemu->vcpu_count && !qemu->cut && !qemu->machine->by_vcpu) {
        for (unsigned i = 0; i < qemu->state_count; i++)
            qemu->vcpus[i].state_size = 0;
        qemu->state_count = 0;
    }
    return FORMAT_FOUND;
}

/* Adds all notes. One that QEMU does not write ends the search: the file is another's.
 * Notes that end too early are those of a cut file, and what was found before counts.
 * NOTES_MAX bounds the time for a file of nothing but small valid notes. */
static int collect(struct qemu_notes *qemu, const struct elf *elf,
                   const struct image_file *file, struct qvm_error *err)
{
    struct elf_notes notes;
    struct elf_note note;
    unsigned looked_at = 0;
    int found;

    elf_notes_init(&notes, elf, file, -1);
    while ((found = elf_notes_next(&notes, &note, err)) > 0) {
        found = ++looked_at > NOTES_MAX ? 0 : add_note(qemu, &note, elf, file, err);
        if (found == 0)
            return qemu->vcpu_count > 0 ? FORMAT_DOUBTFUL : FORMAT_OTHER;
        if (found < 0)
            break;
    }
    if (found < 0 && err->code != QVM_MALFORMED && err->code != QVM_TRUNCATED)
        return -1;
    qemu->cut = found < 0;
    return conclude(qemu);
}

int qemu_notes_read(struct qemu_notes *qemu, const struct elf *elf,
                    const struct image_file *file, struct qvm_error *err)
{
    int found;

    *qemu = (struct qemu_notes){.machine = qemu_machine_of(elf)};
    if (!qemu->machine)
        return FORMAT_OTHER;
    found = collect(qemu, elf, file, err);
    if (found != FORMAT_FOUND)
        qemu_notes_free(qemu);
    return found;
}

void qemu_notes_free(struct qemu_notes *qemu)
{
    free(qemu->vcpus);
    *qemu = (struct qemu_notes){0};
}

/* Counts the fields that a state of `size` bytes has: older versions of QEMU write less.
 * The fields that newer versions added are the last ones of the table. Without a state no
 * field is left. */
static unsigned count_fields(const struct qemu_machine *machine, uint32_t size)
{
    unsigned count = machine->extra_count;

    while (count > 0 &&
           machine->extra[count - 1].offset + machine->extra[count - 1].size > size)
        count--;
    return count;
}

int qemu_notes_read_vcpu(const struct qemu_notes *qemu, unsigned index,
                         const struct image_file *file, struct vcpu *vcpu,
                         struct qvm_error *err)
{
    const struct qemu_machine *machine = qemu->machine;
    const struct qemu_vcpu *notes = &qemu->vcpus[index];
    uint32_t size = machine->prstatus_size;
    unsigned char *data = malloc((size_t)size + notes->state_size);

    if (!data)
        return qvm_fail_memory(err, file->path);
    if (image_file_read(file, notes->prstatus, data, size, err) != 0 ||
        image_file_read(file, notes->state, data + size, notes->state_size, err) != 0) {
        free(data);
        return -1;
    }
    /* The vCPU points into its data: the prstatus, and the state after it. */
    *vcpu = (struct vcpu){
        .data = data,
        .cpunum = notes->cpunum,
        .pgtbl = machine->pgtbl && notes->state_size ? machine->pgtbl(data + size) : 0,
        .set = machine->set ? machine->set : registers_of(machine->machine),
        .registers = data + QEMU_PRSTATUS_REGISTERS,
        .extra_fields = machine->extra,
        .extra_count = count_fields(machine, notes->state_size),
        .extra = data + size,
        .extra_size = notes->state_size};
    return 0;
}

/* The format ------------------------------------------------------------------------- */

static const struct qemu_notes *notes_of(const struct dump *dump)
{
    return dump->state;
}

/* The state is the notes, as they were read. */
static int probe(struct dump *dump, struct qvm_error *err)
{
    struct qemu_notes *qemu = malloc(sizeof *qemu);
    int found;

    if (!qemu)
        return qvm_fail_memory(err, dump->file.path);
    found = qemu_notes_read(qemu, &dump->elf, &dump->file, err);
    if (found == FORMAT_FOUND)
        dump->state = qemu;
    else
        free(qemu);
    return found;
}

static void release(struct dump *dump)
{
    qemu_notes_free(dump->state);
    free(dump->state);
}

static unsigned vcpu_count(const struct dump *dump)
{
    return notes_of(dump)->vcpu_count;
}

static int read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                     struct qvm_error *err)
{
    return qemu_notes_read_vcpu(notes_of(dump), index, &dump->file, vcpu, err);
}

/* Where a whole segment of notes is cut, the dump warns of it. */
static bool warn_cut(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    bool cut = notes_of(dump)->cut && !elf_notes_are_cut(&dump->elf, &dump->file);

    if (cut)
        snprintf(text, DUMP_WARNING_SIZE, "%s", DUMP_NOTES_CUT);
    return cut;
}

static bool warn_missing(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    unsigned missing = notes_of(dump)->missing;

    if (missing > 0)
        snprintf(text, DUMP_WARNING_SIZE, "the registers of %u vCPUs are missing", missing);
    return missing > 0;
}

static bool warn_states(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    const struct qemu_notes *qemu = notes_of(dump);
    unsigned without = qemu->vcpu_count - qemu->state_count;

    if (without > 0)
        snprintf(text, DUMP_WARNING_SIZE,
                 "%u vCPUs have no control registers: notes with them are missing",
                 without);
    return without > 0;
}

static dump_warn *const warnings[] = {warn_cut, warn_missing, warn_states, NULL};

/* Memory beyond a segment's data was not dumped. The log of a guest is in its memory. */
const struct dump_format qemu_format = {.name = "qemu",
                                        .zero_fill = false,
                                        .warnings = warnings,
                                        .probe = probe,
                                        .release = release,
                                        .vcpu_count = vcpu_count,
                                        .read_vcpu = read_vcpu};
