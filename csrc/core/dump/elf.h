/* The ELF header and the program headers, checked against the file they stand in. */
#ifndef QVM_ELF_H
#define QVM_ELF_H

#include "dump/image_file.h"

#include <stdbool.h>

enum { ELF_PT_LOAD = 1, ELF_PT_NOTE = 4 };
enum { ELF_ET_CORE = 4 };

/* More program headers than this are too_large: the largest dumps have some 100000. With
 * the memory map made of them, this many take some 35 MiB. */
#define ELF_SEGMENTS_MAX (1u << 17)

/* More PT_NOTE segments than this are skipped: cores have one, or a few. In a compressed
 * file each costs unpacking up to where it is. */
enum { ELF_NOTE_SEGMENTS_MAX = 256 };

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
    bool repeated; /* a PT_NOTE that is skipped: it shares bytes of the file with another
                    * one, or there are more than ELF_NOTE_SEGMENTS_MAX */
};

struct elf {
    unsigned bits; /* 32 or 64 */
    bool big_endian;
    uint16_t type, machine;
    uint64_t extent; /* bytes the file must have for every segment to be whole */
    unsigned count;
    unsigned repeated;            /* segments that are skipped because they are */
    struct elf_segment *segments; /* in the file's order */
    /* As the header has them: see sections.h. */
    uint64_t sections_at;
    unsigned section_entry_size, section_count, section_names;
};

/* Reads the headers. Codes malformed, unsupported, truncated (the file ends within the
 * headers); a file that ends within a segment is not an error here: see extent. 0, or -1
 * and nothing to free. */
int elf_read(struct elf *elf, const struct image_file *file, struct qvm_error *err);

/* Reads the ELF header alone, of a file of any type: no segments, nothing to free. */
int elf_read_header(struct elf *elf, const struct image_file *file, struct qvm_error *err);
void elf_free(struct elf *elf);

#endif
