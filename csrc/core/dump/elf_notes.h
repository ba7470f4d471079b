/* ELF notes, one after another. A note's type means something only together with its name.
 */
#ifndef QVM_ELF_NOTES_H
#define QVM_ELF_NOTES_H

#include "dump/elf.h"

struct elf_note {
    unsigned segment; /* index of the PT_NOTE it stands in */
    uint32_t type;
    uint64_t name_at; /* file offsets, and bytes */
    uint32_t name_size;
    uint64_t offset;
    uint32_t size;
};

struct elf_notes {
    const struct elf *elf;
    const struct image_file *file;
    int skip; /* a PT_NOTE that does not hold ELF notes; -1: none */
    unsigned segment;
    uint64_t at; /* bytes into the segment */
};

void elf_notes_init(struct elf_notes *notes, const struct elf *elf,
                    const struct image_file *file, int skip);

/* 1 and the next note; 0 at the end; -1 where a note does not fit its segment. */
int elf_notes_next(struct elf_notes *notes, struct elf_note *note, struct qvm_error *err);

#endif
