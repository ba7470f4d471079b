/* The PT_NOTE payload of QNX dumps. It is not a sequence of ELF notes: the segment's bytes
 * are the structures of the public header <sys/kdump.h>, in two generations (since SDP 8
 * there are extra registers after each CPU's own). */
#ifndef QVM_QNX_NOTE_H
#define QVM_QNX_NOTE_H

#include "dump/elf.h"
#include "dump/registers.h"
#include "util/limits.h"

struct dump_format;

/* Format "qnx": see format.h. */
extern const struct dump_format qnx_format;

/* The rest is for tests of the note alone. */

/* Bytes of names, and of values: a note with more is not recognised. */
#define QNX_NOTE_EXTRA_MAX LIMIT(1u << 20, 1u << 8)

/* Registers that are named; more are given as bytes. */
#define QNX_NOTE_NAMED_MAX LIMIT(512u, 16u)

/* Where things are in one dump's note, all of it inside the segment. */
struct qnx_note {
    bool big_endian;
    const struct register_set *set;
    unsigned vcpu_count;  /* records that the file has */
    unsigned lost;        /* records after these, beyond the file's end */
    uint32_t dumpinfo;    /* index among the segments, PT_NOTE not counted */
    uint64_t records;     /* file offset of the first vCPU's record */
    uint64_t record_size; /* bytes, registers included */
    uint32_t extra_at;    /* offset of the extra registers' values in a record */
    uint32_t extra_size;  /* bytes of them */
    char *names;          /* extra register names, NUL-terminated, one after another */
    struct register_field *extra; /* owned; their names are in `names` */
    unsigned extra_count; /* 0 where the values are not 8 bytes each: they are raw then */
};

/* Reads a segment as such a note: FORMAT_FOUND, and qnx_note_free is due; FORMAT_OTHER;
 * FORMAT_DOUBTFUL where it seems to be one whose size is wrong; -1. It is one only if a
 * reading of it accounts for every byte of the segment. */
int qnx_note_read(struct qnx_note *qnx, const struct elf *elf,
                  const struct elf_segment *segment, const struct image_file *file,
                  struct qvm_error *err);
void qnx_note_free(struct qnx_note *qnx);

/* Reads a vCPU's record, index below vcpu_count. vcpu_free is due after 0. */
int qnx_note_read_vcpu(const struct qnx_note *qnx, unsigned index,
                       const struct image_file *file, struct vcpu *vcpu,
                       struct qvm_error *err);

/* Reads the text in the segment that the note names as dump information. NULL in *text
 * where there is none; else the caller frees it. */
int qnx_note_read_log(const struct qnx_note *qnx, const struct elf *elf,
                      const struct image_file *file, char **text, size_t *size,
                      struct qvm_error *err);

#endif
