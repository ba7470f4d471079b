/* What applies to cores and to no other ELF file, so that elf.c serves programs and symbol
 * files as well: the type must be ET_CORE, and the segments are needed. Files that are
 * dumps of another kind are recognised by their magic numbers, to say what to do with them.
 */
#include "dump/elf_core.h"

#include "util/bytes.h"

#include <string.h>

enum { E_TYPE = 16, ET_CORE = 4 };

enum { MAGIC_MAX = 12 };

/* Dumps that are not ELF, and what their owner can do. */
static const struct {
    const char *magic;
    size_t size;
    const char *advice;
} other_formats[] = {
    {"KDUMP   ", 8,
     "a kdump-compressed dump: have it written as ELF: by QEMU with "
     "dump-guest-memory without -z, -l or -s, by makedumpfile with -E"},
    {"DISKDUMP", 8,
     "a diskdump-compressed dump: have it written as ELF by makedumpfile -E"},
    {"makedumpfile", 12,
     "a dump in makedumpfile's flattened form: makedumpfile -R NEW < OLD "
     "rearranges it; what QEMU writes with -z, -l or -s is kdump-compressed then: "
     "let dump-guest-memory write ELF, without these options"},
};

/* Fails if the file begins as one of them does. Of a shorter file the rest counts as zeros.
 */
static int check_other_formats(const struct image_file *file, struct qvm_error *err)
{
    unsigned char head[MAGIC_MAX] = {0};
    size_t present = (size_t)smaller_u64(file->size, sizeof head);

    if (image_file_read(file, 0, head, present, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof other_formats / sizeof other_formats[0]; i++)
        if (memcmp(head, other_formats[i].magic, other_formats[i].size) == 0)
            return qvm_fail(err, QVM_UNSUPPORTED, "%s: %s", file->path,
                            other_formats[i].advice);
    return 0;
}

int elf_core_read(struct elf *elf, const struct image_file *file, struct qvm_error *err)
{
    if (check_other_formats(file, err) != 0 || elf_read_header(elf, file, err) != 0)
        return -1;
    if (elf->type != ET_CORE)
        return qvm_fail(err, QVM_MALFORMED, "%s: offset %d: ELF type %u, not a core (4)",
                        file->path, E_TYPE, elf->type);
    return elf_read_segments(elf, file, err);
}
