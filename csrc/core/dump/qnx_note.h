/* The PT_NOTE payload of QNX dumps. It is not a sequence of ELF notes: the segment's bytes
 * are the structures of the public header <sys/kdump.h>, in two generations (SDP 8 has
 * extra registers behind each CPU's own). */
#ifndef QVM_QNX_NOTE_H
#define QVM_QNX_NOTE_H

#include "dump/elf.h"
#include "dump/registers.h"

/* Bytes of names, and of values: more is malformed. */
#define QNX_NOTE_EXTRA_MAX (1u << 20)

/* Registers that are named; more are given as bytes. */
#define QNX_NOTE_NAMED_MAX 512u

/* Where things are in one dump's note, all of it inside the segment. */
struct qnx_note {
    bool big_endian;
    const struct register_set *set;
    unsigned cpus;        /* whose records the file has */
    unsigned missing;     /* whose records are behind its end */
    bool rejected;        /* it seems to be such a note, and its size is wrong */
    uint32_t dumpinfo;    /* index among the segments, PT_NOTE not counted */
    uint64_t records;     /* file offset of the first CPU's record */
    uint64_t record_size; /* bytes, registers included */
    uint32_t extra_at;    /* offset of the extra registers' values in a record */
    uint32_t extra_size;  /* bytes of them */
    char *names;          /* extra register names, NUL-terminated, one after another */
    struct register_field *extra; /* owned; their names are in `names` */
    unsigned extra_count; /* 0 where the values are not 8 bytes each: they are raw then */
};

/* Is this segment such a note, and of this machine? 1 it is, and kdump is filled and due to
 * be freed; 0 it is something else; -1 error. It is one only
 * if a reading of it accounts for every byte of the segment. */
int qnx_note_probe(struct qnx_note *qnx, const struct elf *elf,
                   const struct elf_segment *note, const struct image_file *file,
                   struct qvm_error *err);
void qnx_note_free(struct qnx_note *qnx);

/* One CPU's record, index below kdump->cpus. After 0, vcpu_free is due. */
int qnx_note_read_vcpu(const struct qnx_note *qnx, unsigned index,
                       const struct image_file *file, struct vcpu *vcpu,
                       struct qvm_error *err);

/* The text in the segment that the note names as dump information. NULL in *text where
 * there is none; else the caller frees it. */
int qnx_note_read_log(const struct qnx_note *qnx, const struct elf *elf,
                      const struct image_file *file, char **text, size_t *size,
                      struct qvm_error *err);

#endif
