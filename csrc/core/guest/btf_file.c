/* Finds the section `.BTF` of an ELF file by its name. */
#include "guest/btf_file.h"

#include "guest/btf.h"

#include <inttypes.h>
#include <string.h>

/* By name, as the type is that of many sections (SHT_PROGBITS). Only headers and names are
 * read: the file may be a vmlinux of hundreds of megabytes. */
static int find_section(struct btf_file *file, struct qvm_error *err)
{
    uint32_t count;
    struct elf elf;

    if (elf_read_header(&elf, &file->file, err) != 0 ||
        sections_count(&elf, &file->file, &count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        if (sections_read_named(&elf, &file->file, i, &file->section, err) != 0)
            return -1;
        if (strcmp(file->section.name, ".BTF") == 0)
            return 0;
    }
    return qvm_fail(err, QVM_NOT_FOUND, "%s: an ELF file without a section .BTF",
                    file->file.path);
}

/* The size is checked against the limit and against the file, so the caller may make room
 * for it. */
int btf_file_open(struct btf_file *file, const char *path, struct qvm_error *err)
{
    file->is_open = false;
    if (image_file_open(&file->file, path, false, err) != 0)
        return -1;
    file->is_open = true;
    if (file->file.gzip)
        qvm_fail(err, QVM_UNSUPPORTED, "%s: compressed by gzip: gzip -d it first", path);
    else if (find_section(file, err) == 0) {
        if (file->section.file_size > BTF_SIZE_MAX)
            qvm_fail(err, QVM_TOO_LARGE,
                     "%s: type information of %" PRIu64 " bytes, more than %u", path,
                     file->section.file_size, (unsigned)BTF_SIZE_MAX);
        else if (image_file_check(&file->file, file->section.offset,
                                  file->section.file_size, err) == 0)
            return 0;
    }
    btf_file_close(file);
    return -1;
}

void btf_file_close(struct btf_file *file)
{
    if (file->is_open)
        image_file_close(&file->file);
    file->is_open = false;
}

int btf_file_read(const struct btf_file *file, void *to, struct qvm_error *err)
{
    return image_file_read(&file->file, file->section.offset, to,
                           (size_t)file->section.file_size, err);
}
