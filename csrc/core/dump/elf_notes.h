/* ELF notes, one after another, in all PT_NOTE segments. A note has an owner's name, a type
 * that means something only together with that name, and a description: its data. */
#ifndef QVM_ELF_NOTES_H
#define QVM_ELF_NOTES_H

#include "dump/elf.h"

struct elf_note {
    unsigned segment; /* index of the PT_NOTE that it is in */
    uint32_t type;
    uint64_t name_at; /* file offset; the NUL counts among the name's bytes */
    uint32_t name_size;
    uint64_t offset; /* of the description, in the file */
    uint32_t size;
};

/* An iterator, in the caller's storage. Nothing to free. */
struct elf_notes {
    const struct elf *elf;
    const struct image_file *file;
    int skip;         /* a PT_NOTE that does not hold ELF notes; -1: none */
    unsigned segment; /* where the next note is looked for: the segment, */
    uint64_t at;      /* and the bytes into it */
};

/* Begins before the first note. Both objects must outlive the iterator. */
void elf_notes_init(struct elf_notes *notes, const struct elf *elf,
                    const struct image_file *file, int skip);

/* 1 and the next note; 0 at the end; -1 with code malformed where a note does not fit its
 * segment, or with the codes of image_file_read(). A note whose header the file has is
 * returned even where the file ends within its description: see image_file_check(). */
int elf_notes_next(struct elf_notes *notes, struct elf_note *note, struct qvm_error *err);

/* True if the file ends within a PT_NOTE segment. */
bool elf_notes_are_cut(const struct elf *elf, const struct image_file *file);

#endif
