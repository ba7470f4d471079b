/* The section of an ELF file that has BTF: a vmlinux, a module. */
#ifndef QVM_BTF_FILE_H
#define QVM_BTF_FILE_H

#include "dump/elf_sections.h"

struct btf_file {
    bool is_open;
    struct image_file file;
    struct elf_section section;
};

/* Opens a file and finds its section `.BTF`. Codes not_found (it has none), malformed,
 * truncated, too_large, unsupported (compressed). 0, or -1 and nothing to close. */
int btf_file_open(struct btf_file *file, const char *path, struct qvm_error *err);
void btf_file_close(struct btf_file *file);

/* Reads the section: file->section.file_size bytes. */
int btf_file_read(const struct btf_file *file, void *to, struct qvm_error *err);

#endif
