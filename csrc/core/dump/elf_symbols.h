/* The symbol table of an ELF file: a program, a kernel, a file that has only symbols. */
#ifndef QVM_ELF_SYMBOLS_H
#define QVM_ELF_SYMBOLS_H

#include "dump/elf_sections.h"

/* Bytes of a name. A symbol with a longer one is skipped. */
#define ELF_SYMBOL_NAME_MAX 4095

enum { ELF_BUILD_ID_MAX = 64 };

struct elf_symbol {
    uint64_t value, size;
    size_t name_size;
    char name[ELF_SYMBOL_NAME_MAX + 1];
};

struct elf_symbols {
    struct image_file file;
    bool is_open;
    struct elf elf;
    struct elf_section table, names;
    uint64_t at, skipped; /* bytes into the table; symbols whose names are too long */
    size_t buffered, used;
    unsigned char buffer[24 * 2048]; /* entries of the table */
};

/* Opens a file. Its symbols are those of .symtab, or of .dynsym where it has no .symtab.
 * 0, or -1 and nothing to close. Codes malformed (not ELF, no symbol table), truncated,
 * unsupported. */
int elf_symbols_open(struct elf_symbols *symbols, const char *path, struct qvm_error *err);
void elf_symbols_close(struct elf_symbols *symbols);

/* The next symbol that names a place in the program: defined, with a name, and neither a
 * file, a section nor a mapping symbol. 1; 0 at the end, or once `*patience` entries were
 * looked at (then it is 0, and the call is to be made again); -1. */
int elf_symbols_next(struct elf_symbols *symbols, struct elf_symbol *symbol,
                     unsigned *patience, struct qvm_error *err);

/* The build id (NT_GNU_BUILD_ID) that a section of notes has: bytes, 0 where none has one.
 */
size_t elf_symbols_build_id(struct elf_symbols *symbols,
                            unsigned char id[ELF_BUILD_ID_MAX]);

#endif
