#include "dump/qemu_notes.h"

#include "dump/elf_notes.h"
#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

/* What a note is to us: registers of a vCPU, more of its state, or something that QEMU
 * writes as well. */
enum kind { PRSTATUS, STATE, OTHER, KINDS };

struct note_type {
    const char *name;
    uint32_t type, size_min, size_max;
    enum kind kind;
};

struct qemu_machine {
    uint16_t machine; /* ELF e_machine */
    uint32_t prstatus_size;
    const struct register_set *set; /* NULL: as registers_of() has it */
    const struct note_type *notes;  /* up to one without a name */
    const struct register_field *extra;
    unsigned extra_count;
    bool by_vcpu; /* a state follows its prstatus; else all states follow all of these */
    /* Physical address of the page table, from the state; NULL: the notes do not tell. */
    uint64_t (*pgtbl)(const unsigned char *state);
};

/* File offsets of a vCPU's notes. */
struct qemu_cpu {
    uint64_t prstatus, state;
    uint32_t state_size, cpunum;
};

enum {
    PRSTATUS_PID = 32,
    PRSTATUS_PID_SIZE = 4,
    PRSTATUS_REGISTERS = 112,
    STATE_MAX = 1024
};
enum { EM_X86_64 = 62, EM_AARCH64 = 183, CPUS_MAX = 65536, NOTES_MAX = 1 << 18 };

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* The register part of the x86_64 prstatus (Linux user_regs_struct), in the order in which
 * the architecture counts them. */
#define X86(name, n)     \
    {                    \
        name, 8 * (n), 8 \
    }

static const struct register_field x86_64_fields[] = {
    X86("rax", 10),     X86("rcx", 11),     X86("rdx", 12),      X86("rbx", 5),
    X86("rsp", 19),     X86("rbp", 4),      X86("rsi", 13),      X86("rdi", 14),
    X86("r8", 9),       X86("r9", 8),       X86("r10", 7),       X86("r11", 6),
    X86("r12", 3),      X86("r13", 2),      X86("r14", 1),       X86("r15", 0),
    X86("rip", 16),     X86("rflags", 18),  X86("cs", 17),       X86("ss", 20),
    X86("ds", 23),      X86("es", 24),      X86("fs", 25),       X86("gs", 26),
    X86("fs_base", 21), X86("gs_base", 22), X86("orig_rax", 15),
};

static const struct register_set x86_64_set = {
    EM_X86_64, "x86_64 of QEMU", 27 * 8, 27 * 8, LENGTH(x86_64_fields), x86_64_fields, 16,
    4};

/* The "QEMU" note (its first version, which later ones have grown from): ten segments of 24
 * bytes, then the control registers. */
#define SEGMENT(name, n)                                                       \
    {name "_selector", 152 + 24 * (n), 4}, {name "_limit", 156 + 24 * (n), 4}, \
        {name "_flags", 160 + 24 * (n), 4},                                    \
    {                                                                          \
        name "_base", 168 + 24 * (n), 8                                        \
    }

enum { STATE_CR3 = 416 };

static const struct register_field x86_64_state[] = {
    {"cr0", 392, 8},   {"cr2", 408, 8},   {"cr3", STATE_CR3, 8},      {"cr4", 424, 8},
    SEGMENT("cs", 0),  SEGMENT("ds", 1),  SEGMENT("es", 2),           SEGMENT("fs", 3),
    SEGMENT("gs", 4),  SEGMENT("ss", 5),  SEGMENT("ldt", 6),          SEGMENT("tr", 7),
    SEGMENT("gdt", 8), SEGMENT("idt", 9), {"kernel_gs_base", 432, 8},
};

static uint64_t x86_64_pgtbl(const unsigned char *state)
{
    return bytes_u64(state + STATE_CR3, false) & UINT64_C(0x000ffffffffff000);
}

static const struct note_type x86_64_notes[] = {
    {"CORE", 1, 336, 336, PRSTATUS},
    {"QEMU", 0, 432, STATE_MAX, STATE},
    {"VMCOREINFO", 0, 0, UINT32_MAX, OTHER},
    {NULL, 0, 0, 0, OTHER},
};

static const struct register_field aarch64_state[] = {{"fpsr", 512, 4}, {"fpcr", 516, 4}};

static const struct note_type aarch64_notes[] = {
    {"CORE", 1, 392, 392, PRSTATUS},         {"CORE", 2, 528, 528, STATE},
    {"LINUX", 0x405, 0, 1 << 20, OTHER}, /* SVE */
    {"VMCOREINFO", 0, 0, UINT32_MAX, OTHER}, {NULL, 0, 0, 0, OTHER},
};

static const struct qemu_machine machines[] = {
    {EM_X86_64, 336, &x86_64_set, x86_64_notes, x86_64_state, LENGTH(x86_64_state), false,
     x86_64_pgtbl},
    /* x0 to x30, sp, pc, pstate stand in the prstatus as they do in a QNX dump. */
    {EM_AARCH64, 392, NULL, aarch64_notes, aarch64_state, LENGTH(aarch64_state), true,
     NULL},
};

static const struct qemu_machine *machine_of(const struct elf *elf)
{
    for (size_t i = 0; i < LENGTH(machines); i++)
        if (elf->bits == 64 && machines[i].machine == elf->machine)
            return &machines[i];
    return NULL;
}

/* The note's type by its name, number and size; NULL for one that QEMU does not write. */
static int find_type(const struct qemu_machine *machine, const struct elf_note *note,
                     const struct image_file *file, const struct note_type **type,
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
    for (const struct note_type *t = machine->notes; t->name; t++)
        if (t->type == note->type && strcmp(t->name, name) == 0 &&
            note->size >= t->size_min && note->size <= t->size_max)
            *type = t;
    return 0;
}

/* QEMU numbers its vCPUs from 1, and leaves whatever a process would have at zero. The
 * number, or 0 where this is another's prstatus. */
static int read_number(uint64_t offset, uint32_t *number, const struct elf *elf,
                       const struct image_file *file, struct qvm_error *err)
{
    unsigned char head[PRSTATUS_REGISTERS];
    size_t behind = PRSTATUS_PID + PRSTATUS_PID_SIZE;

    if (image_file_read(file, offset, head, sizeof head, err) != 0)
        return -1;
    *number = bytes_u32(head + PRSTATUS_PID, elf->big_endian);
    if (!bytes_are_zero(head, PRSTATUS_PID) ||
        !bytes_are_zero(head + behind, sizeof head - behind))
        *number = 0;
    return 0;
}

static int make_room(struct qemu_notes *qemu, const struct image_file *file,
                     struct qvm_error *err)
{
    unsigned room = qemu->room ? 2 * qemu->room : 8;
    struct qemu_cpu *places;

    if (qemu->cpus < qemu->room)
        return 0;
    places = realloc(qemu->places, room * sizeof *places);
    if (!places)
        return qvm_fail_memory(err, file->path);
    qemu->places = places;
    qemu->room = room;
    return 0;
}

static int take_prstatus(struct qemu_notes *qemu, uint64_t offset, const struct elf *elf,
                         const struct image_file *file, struct qvm_error *err)
{
    uint32_t next = qemu->cpus + qemu->missing + 1, number;

    if (read_number(offset, &number, elf, file, err) != 0)
        return -1;
    if (number < next || number > CPUS_MAX)
        return 0;
    if (make_room(qemu, file, err) != 0)
        return -1;
    qemu->missing += number - next;
    qemu->places[qemu->cpus++] =
        (struct qemu_cpu){.prstatus = offset, .cpunum = number - 1};
    return 1;
}

static int take_state(struct qemu_notes *qemu, const struct elf_note *note)
{
    unsigned index = qemu->machine->by_vcpu ? qemu->cpus - 1 : qemu->states;

    if (qemu->states >= qemu->cpus || qemu->places[index].state_size > 0)
        return 0;
    qemu->places[index].state = note->offset;
    qemu->places[index].state_size = note->size;
    qemu->states++;
    return 1;
}

/* Takes one note in. 1, or 0 where QEMU would not have written it here, or -1. */
static int take(struct qemu_notes *qemu, const struct elf_note *note, const struct elf *elf,
                const struct image_file *file, struct qvm_error *err)
{
    const struct note_type *type;

    if (find_type(qemu->machine, note, file, &type, err) != 0)
        return -1;
    if (!type)
        return 0;
    if (type->kind == OTHER)
        return 1;
    if (image_file_check(file, note->offset, note->size, err) != 0)
        return -1;
    return type->kind == STATE ? take_state(qemu, note)
                               : take_prstatus(qemu, note->offset, elf, file, err);
}

/* Where one of several states is missing and all follow the prstatus notes, nobody can say
 * whose the others are. */
static int conclude(struct qemu_notes *qemu)
{
    qemu->rejected = qemu->cpus > 0;
    if (qemu->cpus == 0 || qemu->missing > qemu->cpus || (qemu->states == 0 && !qemu->cut))
        return 0;
    if (qemu->states < qemu->cpus && !qemu->cut && !qemu->machine->by_vcpu) {
        for (unsigned i = 0; i < qemu->states; i++)
            qemu->places[i].state_size = 0;
        qemu->states = 0;
    }
    return 1;
}

static int collect(struct qemu_notes *qemu, const struct elf *elf,
                   const struct image_file *file, struct qvm_error *err)
{
    struct elf_notes notes;
    struct elf_note note;
    unsigned looked_at = 0;
    int found;

    elf_notes_init(&notes, elf, file, -1);
    while ((found = elf_notes_next(&notes, &note, err)) > 0) {
        found = ++looked_at > NOTES_MAX ? 0 : take(qemu, &note, elf, file, err);
        qemu->rejected = found == 0 && qemu->cpus > 0;
        if (found == 0)
            return 0;
        if (found < 0)
            break;
    }
    if (found < 0 && err->code != QVM_MALFORMED && err->code != QVM_TRUNCATED)
        return -1;
    qemu->cut = found < 0;
    return conclude(qemu);
}

int qemu_notes_probe(struct qemu_notes *qemu, const struct elf *elf,
                     const struct image_file *file, struct qvm_error *err)
{
    int found;

    *qemu = (struct qemu_notes){.machine = machine_of(elf)};
    if (!qemu->machine)
        return 0;
    found = collect(qemu, elf, file, err);
    if (found <= 0) {
        bool rejected = qemu->rejected;

        qemu_notes_free(qemu);
        qemu->rejected = rejected;
    }
    return found;
}

void qemu_notes_free(struct qemu_notes *qemu)
{
    free(qemu->places);
    *qemu = (struct qemu_notes){0};
}

int qemu_notes_read_vcpu(const struct qemu_notes *qemu, unsigned index,
                         const struct image_file *file, struct vcpu *vcpu,
                         struct qvm_error *err)
{
    const struct qemu_machine *machine = qemu->machine;
    const struct qemu_cpu *place = &qemu->places[index];
    uint32_t size = machine->prstatus_size;
    unsigned char *data = malloc((size_t)size + place->state_size);
    unsigned count = machine->extra_count;

    if (!data)
        return qvm_fail_memory(err, file->path);
    if (image_file_read(file, place->prstatus, data, size, err) != 0 ||
        image_file_read(file, place->state, data + size, place->state_size, err) != 0) {
        free(data);
        return -1;
    }
    /* Older versions write less of the state. */
    while (count > 0 && machine->extra[count - 1].offset + machine->extra[count - 1].size >
                            place->state_size)
        count--;
    *vcpu = (struct vcpu){
        .data = data,
        .cpunum = place->cpunum,
        .pgtbl = machine->pgtbl && place->state_size ? machine->pgtbl(data + size) : 0,
        .set = machine->set ? machine->set : registers_of(machine->machine),
        .registers = data + PRSTATUS_REGISTERS,
        .extra_fields = machine->extra,
        .extra_count = count,
        .extra = data + size,
        .extra_size = place->state_size};
    return 0;
}
