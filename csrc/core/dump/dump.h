/* An opened dump: its headers, its memory by physical address, its vCPUs. Opening reads the
 * headers only; memory and registers are read when they are asked for. */
#ifndef QVM_DUMP_H
#define QVM_DUMP_H

#include "dump/dump_memory.h"
#include "dump/elf.h"
#include "dump/memory_map.h"
#include "dump/qemu_notes.h"
#include "dump/qnx_note.h"

struct dump_format;

struct dump {
    struct memory memory; /* physical: see dump_memory.h */
    struct image_file file;
    bool partial;
    struct elf elf;
    struct memory_map map;
    const struct dump_format *format;
    struct qnx_note qnx;  /* format "qnx" */
    int qnx_note_segment; /* the PT_NOTE it stands in, which holds no ELF notes; -1: none */
    struct qemu_notes qemu; /* format "qemu" */
    bool rejected;          /* a note was nearly one of QNX's */
};

/* Opens the file only; dump_load is due. NULL on failure, else the caller closes. */
struct dump *dump_open(const char *path, bool partial, struct qvm_error *err);

/* The same for a file that is open already, see image_file_open_fd. */
struct dump *dump_open_fd(int fd, const char *path, bool partial, struct qvm_error *err);
void dump_close(struct dump *dump);

/* Reads what is needed before anything can be asked. Code truncated where a segment ends
 * behind the file: the message says how many bytes are missing. With `partial` such a file
 * is fine as long as its headers are there, and reads of what is missing fail. Code again:
 * call once more, as for everything that reads a compressed dump. */
int dump_load(struct dump *dump, struct qvm_error *err);

/* Does the file have all that its headers promise? */
bool dump_is_whole(const struct dump *dump);

#define DUMP_WARNING_SIZE 256

/* What is odd about the dump, though it can be read, by an index from 0. False: no more. */
bool dump_warning(const struct dump *dump, unsigned index, char text[DUMP_WARNING_SIZE]);

/* The format's name. */
const char *dump_format_name(const struct dump *dump);

/* How many vCPUs there are, and one of them, by an index below that. After 0, vcpu_free is
 * due. */
unsigned dump_vcpus(const struct dump *dump);

/* How many more there were, after these, whose registers a cut file has lost. */
unsigned dump_vcpus_lost(const struct dump *dump);
int dump_read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                   struct qvm_error *err);

/* "aarch64", "x86_64", "x86", "arm"; NULL for another machine. */
const char *dump_machine(const struct dump *dump);

/* How many bytes of physical memory from an address on the dump holds without a gap, up to
 * n. */
uint64_t dump_contiguous(const struct dump *dump, uint64_t address, uint64_t n);

/* Does it hold all n? Code unmapped, or truncated where the file has lost them, with the
 * first address that is missing. */
int dump_check(const struct dump *dump, uint64_t address, uint64_t n,
               struct qvm_error *err);

/* To be called before many small reads: they become faster. */
void dump_map(struct dump *dump);

/* Reads n bytes of physical memory, all of them or, after an error, none that count. */
int dump_read(const struct dump *dump, uint64_t address, void *to, size_t n,
              struct qvm_error *err);

/* The bytes that the dump in an open file must have to be whole, as far as its headers can
 * be read by now; 0 where they cannot yet. See image_file_open_fd. */
int dump_whole_size(int fd, const char *path, uint64_t *extent, struct qvm_error *err);

#endif
