/* Section headers of an ELF file (System V ABI, "Sections"). Few dumps have them; those
 * that do may keep text in sections. */
#ifndef QVM_ELF_SECTIONS_H
#define QVM_ELF_SECTIONS_H

#include "dump/elf.h"
#include "util/limits.h"

/* More section headers than this are too_large. */
#define SECTIONS_MAX LIMIT(1u << 18, 1u << 10)

#define SECTION_NAME_MAX 255 /* bytes; a longer name is cut */

struct elf_section {
    uint32_t type, link, info;
    uint64_t flags, addr, offset;
    uint64_t size;      /* bytes in memory */
    uint64_t file_size; /* bytes in the file: 0 for SHT_NOBITS */
    char name[SECTION_NAME_MAX + 1];
};

/* The number of section headers, of an ELF file whose header was read. Codes malformed,
 * truncated, too_large. */
int sections_count(const struct elf *elf, const struct image_file *file, uint32_t *count,
                   struct qvm_error *err);

/* The section header of an index below the count, without its name. */
int sections_read(const struct elf *elf, const struct image_file *file, uint32_t index,
                  struct elf_section *section, struct qvm_error *err);

/* The same, with its name; empty where the string table does not have it. */
int sections_read_named(const struct elf *elf, const struct image_file *file,
                        uint32_t index, struct elf_section *section, struct qvm_error *err);

/* Where the last of the sections ends in the file, headers and data, if all headers are in
 * the file's first mebibyte; else 0. A guess at the file's size: failures are 0, too. */
uint64_t sections_end(const struct elf *elf, const struct image_file *file);

#endif
