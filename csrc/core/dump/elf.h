/* ELF files (System V ABI, "Object Files" and "Program Header"), of both classes and byte
 * orders: the ELF header, and the program headers, which name the segments. Every offset
 * and size is checked before it is used, since a file may be damaged or made to do harm. */
#ifndef QVM_ELF_H
#define QVM_ELF_H

#include "dump/image_file.h"
#include "util/limits.h"

#include <stdbool.h>

enum { ELF_PT_LOAD = 1, ELF_PT_NOTE = 4 };

/* More program headers than this are too_large: the largest dumps have some 100000. With
 * the memory map made of them, this many take some 35 MiB. */
#define ELF_SEGMENTS_MAX LIMIT(1u << 17, 1u << 12)

/* More PT_NOTE segments than this are skipped: cores have one, or a few. In a compressed
 * file each costs unpacking up to where it is. */
enum { ELF_NOTE_SEGMENTS_MAX = 256 };

/* A program header: the file's bytes from `offset`, `filesz` of them, are memory at the
 * physical address `paddr` (PT_LOAD) or notes (PT_NOTE). */
struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
    bool repeated; /* a PT_NOTE that is skipped: it shares bytes of the file with another
                    * one, or there are more than ELF_NOTE_SEGMENTS_MAX */
};

/* A table of headers, as the ELF header describes it. */
struct elf_table {
    uint64_t offset; /* in the file */
    unsigned entry_size, count;
};

struct elf {
    unsigned bits; /* 32 or 64 */
    bool big_endian;
    uint16_t type, machine;              /* e_type, e_machine */
    struct elf_table programs, sections; /* of program headers, of section headers */
    unsigned section_names;              /* index of the section with their names */
    /* Of elf_read_segments(): */
    unsigned count;
    struct elf_segment *segments; /* owned, in the file's order */
    unsigned repeated;            /* how many segments are skipped */
    uint64_t extent; /* bytes the file must have for every segment to be whole */
};

/* Reads the ELF header, of a file of any type. Nothing is allocated. Codes malformed,
 * unsupported (compressed otherwise than by gzip), truncated. */
int elf_read_header(struct elf *elf, const struct image_file *file, struct qvm_error *err);

/* Reads the program headers of a file whose ELF header was read; elf_free is due after 0.
 * Codes malformed, too_large, truncated: the file ends before or within them. That it ends
 * within a segment is not an error here: see `extent`. */
int elf_read_segments(struct elf *elf, const struct image_file *file,
                      struct qvm_error *err);

/* Frees the segments. Does nothing where none were read. */
void elf_free(struct elf *elf);

#endif
