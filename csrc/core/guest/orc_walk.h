/* A walk over the stack of an x86_64 kernel by ORC tables, from any registers: of a vCPU,
 * of a task that sleeps, of an exception. It goes on across interrupts and exceptions,
 * whatever stacks they run on, to the entry from user mode.
 *
 * Tables and stacks are the guest's: the walk takes at most ORC_FRAMES_MAX steps, and ends
 * where it is led back. */
#ifndef QVM_ORC_WALK_H
#define QVM_ORC_WALK_H

#include "guest/orc.h"
#include "util/limits.h"

enum { ORC_FRAMES_MAX = LIMIT(256, 32), ORC_SWITCHES_MAX = LIMIT(32, 8) };

/* The registers in the order of struct pt_regs, 8 bytes each. */
enum orc_register {
    REG_R15,
    REG_R14,
    REG_R13,
    REG_R12,
    REG_BP,
    REG_BX,
    REG_R11,
    REG_R10,
    REG_R9,
    REG_R8,
    REG_AX,
    REG_CX,
    REG_DX,
    REG_SI,
    REG_DI,
    REG_ORIG_AX,
    REG_IP,
    REG_CS,
    REG_FLAGS,
    REG_SP,
    REG_SS,
    REG_COUNT
};

struct orc_registers {
    uint64_t value[REG_COUNT];
    uint32_t known; /* a bit for each */
};

/* The tables of a kernel and its modules, which are in one space. */
struct orc_tables {
    struct space *space;
    enum orc_form form;
    size_t count;
    const struct orc_table *table;
};

enum orc_how { FRAME_ORC, FRAME_POINTER, FRAME_EXCEPTION };

struct orc_frame {
    uint64_t address; /* a return address, or where code was interrupted */
    enum orc_how how;
};

enum orc_end {
    WALK_END,  /* at the outermost function */
    WALK_USER, /* at the entry from user mode: the registers are the user's */
    WALK_LOST, /* the tables do not say how to go on from the registers */
    WALK_FULL  /* too many frames */
};

struct orc_walk {
    const struct orc_tables *tables;
    struct space *space;            /* of the stacks */
    struct orc_registers registers; /* of the frame that was found last */
    bool exact;                     /* their ip does not follow a call */
    size_t count;
    struct orc_frame frames[ORC_FRAMES_MAX];
    size_t switches;
    uint64_t switched[ORC_SWITCHES_MAX]; /* where the walk went from one stack to another */
    enum orc_end end;
};

/* Begins at registers, of which ip, sp and mostly bp are known. `exact`: ip is where
 * the code was interrupted; false: a return address. The tables and the space must stay. */
void orc_walk_init(struct orc_walk *walk, const struct orc_tables *tables,
                   struct space *space, const struct orc_registers *registers, bool exact);

/* Fills the frames, without the first, and `end`. 0, or -1: the dump cannot be read;
 * INCOMPLETE: call again. */
int orc_walk(struct orc_walk *walk, struct qvm_error *err);

#endif
