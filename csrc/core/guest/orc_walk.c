/* The walk, step by step: each step finds the entry for the code, computes from it the
 * caller's stack pointer, and takes from the stack the return address or the saved
 * registers. It works on a copy of the registers, so that a step whose data a compressed
 * file does not yet give is simply taken again.
 *
 * Code without an entry is either no code (a call through a bad pointer, of which only the
 * return address is on the stack), or generated code such as BPF's, which keeps frame
 * pointers. The kernel's own unwinder makes the same guesses.
 *
 *     higher   |  caller's frame        |
 *              +------------------------+ <- previous sp, from the entry
 *              |  return address        |    previous sp - 8
 *              |  saved bp, if any      |    previous sp + bp_offset (or relative to bp)
 *              |  ...                   |
 *     lower    +------------------------+ <- sp of this frame
 *
 * At an interrupt or exception, struct pt_regs is on the stack instead. The processor has
 * pushed its end, the entry code pushes the rest below:
 *
 *     ORC_REGS            sp -> r15 ... orig_ax  ip  cs  flags  sp  ss
 *     ORC_REGS_PARTIAL                     sp -> ip  cs  flags  sp  ss */
#include "guest/orc_walk.h"

#include "util/bytes.h"

enum { WORD = 8, STACK_SIZE = 16384 };

/* The part of struct pt_regs that the processor pushes. */
enum { PUSHED = REG_IP };

enum { ALL_KNOWN = (1 << REG_COUNT) - 1 };

/* A step: what it finds, and what the walk goes on with. */
struct step {
    struct orc_registers registers;
    struct orc_frame frame;
    bool exact;
    bool switches; /* may it go to another stack? */
};

void orc_walk_init(struct orc_walk *walk, const struct orc_tables *tables,
                   struct space *space, const struct orc_registers *registers, bool exact)
{
    walk->tables = tables;
    walk->space = space;
    walk->registers = *registers;
    walk->exact = exact;
    walk->count = walk->switches = 0;
    walk->end = WALK_LOST;
}

/* Ends the walk: 1, which is no failure. */
static int stop(struct orc_walk *walk, enum orc_end end)
{
    walk->end = end;
    return 1;
}

/* Memory that is not there ends the walk; other failures are the caller's. */
static int stop_or_fail(struct orc_walk *walk, const struct qvm_error *err)
{
    if (err->code == QVM_UNMAPPED || err->code == QVM_TRUNCATED ||
        err->code == QVM_UNSUPPORTED)
        return stop(walk, WALK_LOST);
    return -1;
}

/* Reads words of a stack. 0; 1: the walk has ended; -1. Stack words are aligned: an sp that
 * is not has been lost. */
static int read_words(struct orc_walk *walk, uint64_t address, uint64_t *words, size_t n,
                      struct qvm_error *err)
{
    unsigned char bytes[REG_COUNT * WORD];

    if (address % WORD != 0)
        return stop(walk, WALK_LOST);
    if (space_read(walk->space, address, bytes, n * WORD, err) != 0)
        return stop_or_fail(walk, err);
    for (size_t i = 0; i < n; i++)
        words[i] = bytes_u64(bytes + i * WORD, false);
    return 0;
}

/* A walk has at most ORC_FRAMES_MAX steps, so going through the list of tables is enough.
 */
static const struct orc_table *table_for(const struct orc_tables *tables, uint64_t address)
{
    for (size_t i = 0; i < tables->count; i++)
        if (address >= tables->table[i].first && address <= tables->table[i].last)
            return &tables->table[i];
    return NULL;
}

/* Is there code at an address? 1, 0; -1: not readable. */
static int is_code(struct orc_walk *walk, uint64_t address, struct qvm_error *err)
{
    struct walk pages;

    if (table_for(walk->tables, address))
        return 1;
    if (space_resolve(walk->space, address, &pages, err) != 0)
        return stop_or_fail(walk, err) == 1 ? 0 : -1;
    return pages.perms & (PERM_KERNEL_EXECUTE) ? 1 : 0;
}

/* The entry for code at an address, or what stands in for it. A return address is the
 * instruction after the call, which may belong to the next function if the call does not
 * return. So the entry is looked up for the byte before it, unless ip is exact: the place
 * where the code was interrupted. */
static int find_entry(struct orc_walk *walk, struct orc_entry *entry, enum orc_how *how,
                      struct qvm_error *err)
{
    static const struct orc_entry no_code = {
        .sp_offset = WORD, .sp = ORC_SP, .type = ORC_CALL};
    static const struct orc_entry with_pointer = {.sp_offset = 2 * WORD,
                                                  .bp_offset = -2 * WORD,
                                                  .sp = ORC_BP,
                                                  .bp = ORC_PREVIOUS_SP,
                                                  .type = ORC_CALL};
    uint64_t address = walk->registers.value[REG_IP] - (walk->exact ? 0 : 1);
    const struct orc_table *table = table_for(walk->tables, address);
    bool found = false;
    int code;

    *how = FRAME_ORC;
    if (table && orc_find(walk->tables->space, table, walk->tables->form, address, entry,
                          &found, err) != 0)
        return stop_or_fail(walk, err);
    if (found)
        return 0;
    code = is_code(walk, address, err);
    if (code < 0)
        return -1;
    *entry = code ? with_pointer : no_code;
    if (code)
        *how = FRAME_POINTER;
    return 0;
}

/* The value of the register that is a base of sp; false: not known. */
static bool base_value(const struct orc_registers *registers, enum orc_base base,
                       uint64_t *value)
{
    static const enum orc_register of[ORC_INVALID] = {
        [ORC_AX] = REG_AX,   [ORC_DX] = REG_DX,          [ORC_DI] = REG_DI,
        [ORC_BP] = REG_BP,   [ORC_SP] = REG_SP,          [ORC_R10] = REG_R10,
        [ORC_R13] = REG_R13, [ORC_BP_INDIRECT] = REG_BP, [ORC_SP_INDIRECT] = REG_SP};

    if (base == ORC_NONE || base == ORC_PREVIOUS_SP || base == ORC_INVALID ||
        !(registers->known & 1u << of[base]))
        return false;
    *value = registers->value[of[base]];
    return true;
}

/* The caller's sp, or where the saved registers are. The offset counts for registers of the
 * frame, and is applied to what sp points to, but before what bp points to is read. */
static int previous_sp(struct orc_walk *walk, const struct orc_entry *entry, uint64_t *sp,
                       struct qvm_error *err)
{
    uint64_t offset = (uint64_t)(int64_t)entry->sp_offset, value;
    int status = 0;

    if (!base_value(&walk->registers, entry->sp, &value))
        return stop(walk, WALK_LOST);
    if (entry->sp == ORC_SP || entry->sp == ORC_BP) {
        value += offset;
    } else if (entry->sp == ORC_BP_INDIRECT) {
        status = read_words(walk, value + offset, &value, 1, err);
    } else if (entry->sp == ORC_SP_INDIRECT) {
        status = read_words(walk, value, &value, 1, err);
        value += offset;
    }
    *sp = value;
    return status;
}

/* Returns from a call: of the caller's registers only ip, sp and, later, bp are known. What
 * the called function did with the other registers is unknown, so a later entry that is
 * relative to one of them ends the walk. */
static int leave_call(struct orc_walk *walk, uint64_t sp, struct step *step,
                      struct qvm_error *err)
{
    struct orc_registers *registers = &step->registers;
    int status = read_words(walk, sp - WORD, &registers->value[REG_IP], 1, err);

    if (status != 0)
        return status;
    registers->value[REG_SP] = sp;
    registers->known &= 1u << REG_IP | 1u << REG_SP | 1u << REG_BP;
    step->frame.address = registers->value[REG_IP];
    status = is_code(walk, registers->value[REG_IP] - 1, err);
    if (status < 0)
        return -1;
    return status ? 0 : stop(walk, WALK_LOST);
}

/* Returns from an interrupt or exception: to the registers that are saved at an address,
 * all of them or those that the processor pushes. The others are then as they were. The
 * stack may be another one now, so the check that sp ascends is waived (`switches`). */
static int leave_exception(struct orc_walk *walk, uint64_t at, bool partial,
                           struct step *step, struct qvm_error *err)
{
    struct orc_registers *registers = &step->registers;
    unsigned first = partial ? PUSHED : 0;
    int status = read_words(walk, at, registers->value + first, REG_COUNT - first, err);

    if (status != 0)
        return status;
    /* With FRED, the upper bits of the selectors have other uses. */
    registers->value[REG_CS] &= 0xffff;
    registers->value[REG_SS] &= 0xffff;
    registers->known |= (uint32_t)(ALL_KNOWN & ~((1 << first) - 1));
    step->frame = (struct orc_frame){registers->value[REG_IP], FRAME_EXCEPTION};
    step->switches = true;
    if (registers->value[REG_CS] == 0) /* the stack of a kernel thread begins with zeros */
        return stop(walk, registers->value[REG_IP] == 0 ? WALK_END : WALK_LOST);
    return 0;
}

/* The caller's bp. The entry is about bp in this frame, which walk->registers still has. */
static int previous_bp(struct orc_walk *walk, const struct orc_entry *entry, uint64_t sp,
                       struct step *step, struct qvm_error *err)
{
    uint64_t at = sp + (uint64_t)(int64_t)entry->bp_offset;

    if (entry->bp == ORC_NONE)
        return 0;
    if (entry->bp == ORC_BP && walk->registers.known & 1u << REG_BP)
        at = walk->registers.value[REG_BP] + (uint64_t)(int64_t)entry->bp_offset;
    else if (entry->bp != ORC_PREVIOUS_SP)
        return stop(walk, WALK_LOST);
    step->registers.known |= 1u << REG_BP;
    return read_words(walk, at, &step->registers.value[REG_BP], 1, err);
}

/* Checks that the walk proceeds: up on a stack, or to one where it has not been. On one
 * stack, sp ascends at each step, so the walk ends at its top. Another stack is allowed
 * ORC_SWITCHES_MAX times, each to a place where no switch has led before: stacks that point
 * at each other end the walk. */
static bool proceeds(struct orc_walk *walk, const struct step *step)
{
    uint64_t from = walk->registers.value[REG_SP], to = step->registers.value[REG_SP];

    if (!step->switches && (to > from || to / STACK_SIZE == from / STACK_SIZE))
        return to > from;
    if (walk->switches == ORC_SWITCHES_MAX)
        return false;
    for (size_t i = 0; i < walk->switches; i++)
        if (walk->switched[i] == to)
            return false;
    walk->switched[walk->switches++] = to;
    return true;
}

static int take_step(struct orc_walk *walk, struct step *step, struct qvm_error *err)
{
    struct orc_entry entry;
    uint64_t sp;
    int status = find_entry(walk, &entry, &step->frame.how, err);

    if (status != 0)
        return status;
    if (entry.type == ORC_STACK_END)
        return stop(walk, WALK_END);
    if (entry.type == ORC_UNDEFINED || entry.type == ORC_BAD_TYPE)
        return stop(walk, WALK_LOST);
    status = previous_sp(walk, &entry, &sp, err);
    if (status != 0)
        return status;
    step->exact = entry.signal;
    step->switches = entry.sp != ORC_SP && entry.sp != ORC_BP;
    if (entry.type == ORC_CALL)
        status = leave_call(walk, sp, step, err);
    else
        status = leave_exception(walk, sp, entry.type == ORC_REGS_PARTIAL, step, err);
    if (status != 0)
        return status;
    return previous_bp(walk, &entry, sp, step, err);
}

static bool is_user(const struct orc_registers *registers)
{
    return (registers->value[REG_CS] & 3) == 3;
}

/* A step that fails changes nothing of the walk, so the next call takes it again. */
int orc_walk(struct orc_walk *walk, struct qvm_error *err)
{
    while (walk->count < ORC_FRAMES_MAX) {
        struct step step = {.registers = walk->registers};
        int status = take_step(walk, &step, err);

        if (status != 0)
            return status < 0 ? -1 : 0;
        if (step.frame.how == FRAME_EXCEPTION && is_user(&step.registers)) {
            walk->registers = step.registers;
            walk->end = WALK_USER;
            return 0;
        }
        if (!proceeds(walk, &step)) {
            walk->end = WALK_LOST;
            return 0;
        }
        walk->registers = step.registers;
        walk->exact = step.exact;
        walk->frames[walk->count++] = step.frame;
    }
    walk->end = WALK_FULL;
    return 0;
}
