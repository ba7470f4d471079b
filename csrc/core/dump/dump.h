/* An opened dump: its headers, its memory by physical address, its vCPUs. Opening reads the
 * headers only; memory and registers are read when they are asked for.
 *
 * Errors: what reads the file may fail with truncated (the file ends before what was asked
 * for), io, and of a compressed file with malformed (damaged), and QVM_INCOMPLETE: a part
 * of the work was done, and the call is to be made once more.
 *
 * A dump is read by one thread, but for dump_read_direct(). */
#ifndef QVM_DUMP_H
#define QVM_DUMP_H

#include "dump/dump_memory.h"
#include "dump/elf.h"
#include "dump/elf_notes.h"
#include "dump/memory_map.h"
#include "dump/registers.h"

struct dump {
    struct memory memory; /* physical: see dump_memory.h */
    struct image_file file;
    bool partial; /* opened to read what a cut or damaged file has */
    struct elf elf;
    struct memory_map map;
    const struct dump_format *format; /* see format.h; NULL before dump_load */
    void *state;                      /* the format's, of this dump */
    bool doubtful; /* a format has recognised some of the notes, but not all */
};

/* Opens the file only; dump_load is due. The path stays the caller's: see
 * image_file_open(). With `partial`, a file that is cut or damaged is accepted. NULL on
 * failure; else dump_close is due. */
struct dump *dump_open(const char *path, bool partial, struct qvm_error *err);

/* The same for a file that is open already, see image_file_open_fd(). */
struct dump *dump_open_fd(int fd, const char *path, bool partial, struct qvm_error *err);
void dump_close(struct dump *dump);

/* Reads what is needed before anything can be asked. Code truncated where a segment ends
 * beyond the file: the message says how many bytes are missing. With `partial` such a file
 * is accepted as long as its headers are there, and reads of what is missing fail. */
int dump_load(struct dump *dump, struct qvm_error *err);

/* True if the file has all that its headers promise. */
bool dump_is_whole(const struct dump *dump);

#define DUMP_WARNING_SIZE 256

/* What is odd about the dump, though it can be read, by an index from 0. False: no more. */
bool dump_warning(const struct dump *dump, unsigned index, char text[DUMP_WARNING_SIZE]);

/* The format's name. */
const char *dump_format_name(const struct dump *dump);

/* "aarch64", "x86_64", "x86", "arm"; NULL for another machine. */
const char *dump_machine(const struct dump *dump);

/* The number of vCPUs whose registers the dump has, and of those that followed them and
 * that a cut file has lost. */
unsigned dump_vcpu_count(const struct dump *dump);
unsigned dump_vcpus_lost(const struct dump *dump);

/* Reads a vCPU, by an index below the sum of both: code truncated for one that is lost.
 * vcpu_free is due after 0. */
int dump_read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                   struct qvm_error *err);

/* Reads the text that the dump carries: `size` bytes without a NUL at the end, which the
 * caller frees; NULL in *text where there is none. */
int dump_read_log(const struct dump *dump, char **text, size_t *size,
                  struct qvm_error *err);

/* Begins before the first of the dump's ELF notes: see elf_notes.h. */
void dump_notes_init(const struct dump *dump, struct elf_notes *notes);

/* How many bytes of physical memory from an address on the dump holds without a gap, up to
 * n. */
uint64_t dump_contiguous(const struct dump *dump, uint64_t address, uint64_t n);

/* Checks that it holds all n. Code unmapped, or truncated where the file has lost them,
 * with the first address that is missing. */
int dump_check(const struct dump *dump, uint64_t address, uint64_t n,
               struct qvm_error *err);

/* Reads n bytes of physical memory. After a failure, with the codes of dump_check() and
 * those above, what is at `to` is undefined. */
int dump_read(const struct dump *dump, uint64_t address, void *to, size_t n,
              struct qvm_error *err);

/* The same for scans, which read much, and once: past the cache, and by several threads at
 * once, unless the dump is compressed. */
int dump_read_direct(const struct dump *dump, uint64_t address, void *to, size_t n,
                     struct qvm_error *err);

/* The bytes that the dump in an open file must have to be whole, as far as its headers can
 * be read by now; 0 where they cannot yet. See image_file_open_fd(). */
int dump_whole_size(int fd, const char *path, uint64_t *extent, struct qvm_error *err);

#endif
