/* The symbol table of an ELF file: a program, a kernel, a file that has only symbols.
 * Symbols are iterated over, in the table's order. */
#ifndef QVM_ELF_SYMBOLS_H
#define QVM_ELF_SYMBOLS_H

#include "dump/elf_sections.h"
#include "util/limits.h"

/* Bytes of a name. A symbol with a longer one is skipped. */
#define ELF_SYMBOL_NAME_MAX LIMIT(4095, 127)

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
    uint64_t next;         /* bytes of the table that were buffered so far */
    uint64_t skipped;      /* symbols whose names are too long */
    size_t buffered, used; /* bytes of the buffer: that are filled, that were taken */
    unsigned char buffer[LIMIT(24 * 2048, 24 * 16)]; /* entries of the table */
};

/* Opens a file. Its symbols are those of .symtab, or of .dynsym where it has no .symtab.
 * The path stays the caller's: see image_file_open(). 0, or -1 and nothing to close. Codes
 * malformed (not ELF, no symbol table), truncated, unsupported (compressed). */
int elf_symbols_open(struct elf_symbols *symbols, const char *path, struct qvm_error *err);

/* Closes it. May be called again; is_open must be set to false if it was never opened. */
void elf_symbols_close(struct elf_symbols *symbols);

/* The next symbol that names a place in the program: defined, with a name, and neither a
 * file, a section nor a mapping symbol. `*budget` is lowered by the entries that were
 * looked at. 1 and the symbol; 0 at the end, or when the budget has come to 0: then call
 * once more with another one; -1. */
int elf_symbols_next(struct elf_symbols *symbols, struct elf_symbol *symbol,
                     unsigned *budget, struct qvm_error *err);

/* The build id (NT_GNU_BUILD_ID) in the file's sections of notes. Returns its bytes, 0
 * where there is none or it cannot be read. */
size_t elf_symbols_build_id(struct elf_symbols *symbols,
                            unsigned char id[ELF_BUILD_ID_MAX]);

#endif
