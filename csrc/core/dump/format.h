/* The formats of dumps: who wrote an ELF core, and what that writer has put beside memory.
 *
 * A format is a table of operations over a state of its own (libkdumpfile's
 * kdumpfile-priv.h is the model). Only the format's file knows that state: a dump keeps it
 * as a pointer, and nobody else looks at it. Formats: qnx_note.c, qemu_notes.c, and here
 * the plain ELF core. */
#ifndef QVM_FORMAT_H
#define QVM_FORMAT_H

#include "dump/dump.h"

/* What probe returns besides -1, an error. */
enum {
    FORMAT_OTHER,   /* not this format's */
    FORMAT_FOUND,   /* this format's: `state` is set */
    FORMAT_DOUBTFUL /* it begins like this format's, but is not as the writer makes it */
};

/* The warning for notes that the file has only in part, which may be seen in two places. */
#define DUMP_NOTES_CUT "the notes are cut: registers of vCPUs may be missing"

/* Writes a warning if there is a reason for it. False: there is none. */
typedef bool dump_warn(const struct dump *dump, char text[DUMP_WARNING_SIZE]);

/* An operation that is NULL: such files have no such thing. Those without a comment do what
 * dump.h says of the functions that call them. */
struct dump_format {
    const char *name;
    bool zero_fill; /* memory beyond a segment's data in the file: is it zeros, or missing?
                     */
    dump_warn *const *warnings; /* up to NULL */

    /* Recognises a file whose headers were read, and sets dump->state. With dump->partial,
     * a file that ends within what is needed for that is FORMAT_OTHER. */
    int (*probe)(struct dump *dump, struct qvm_error *err);

    /* Frees dump->state. */
    void (*release)(struct dump *dump);

    unsigned (*vcpu_count)(const struct dump *dump);
    unsigned (*vcpus_lost)(const struct dump *dump);
    int (*read_vcpu)(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                     struct qvm_error *err);
    int (*read_log)(const struct dump *dump, char **text, size_t *size,
                    struct qvm_error *err);

    /* The index of the PT_NOTE that holds the format's own structures in place of ELF
     * notes. */
    int (*note_segment)(const struct dump *dump);
};

/* Finds the format, and has it set the dump's state. 0, or -1. */
int format_find(struct dump *dump, struct qvm_error *err);

/* Frees the state and forgets the format. Does nothing where none was found. */
void format_release(struct dump *dump);

#endif
