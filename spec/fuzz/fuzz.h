/* Shared by the targets. A target is an LLVMFuzzerTestOneInput in its own file. */
#ifndef FUZZ_H
#define FUZZ_H

#include "dump/dump.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* An invariant for any input. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_die(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_die(const char *file, int line, const char *what);

/* Files of an input, in memory: up to FUZZ_FILES of them. The path is valid until the
 * next call for the same number. */
enum { FUZZ_FILES = 4 };
const char *fuzz_file(unsigned number, const void *bytes, size_t n);

/* Writes bytes at an offset of a file, or extends it; unwritten ranges are holes. */
void fuzz_file_put(unsigned number, uint64_t offset, const void *bytes, size_t n);
void fuzz_file_extend(unsigned number, uint64_t size);

/* An error to pass to the core, and a check that a failure has a documented code and a
 * message that contains the text. */
struct qvm_error *fuzz_error(void);
void fuzz_failed(const struct qvm_error *err, const char *text);

/* Opens and loads a dump; returns NULL after an allowed failure. */
struct dump *fuzz_open(const char *path, bool partial);

/* Reads memory, repeating the call while it is incomplete. Returns 0, or -1 after an
 * allowed failure. */
int fuzz_read(const struct dump *dump, uint64_t address, void *to, size_t n);

/* Reads an input piece by piece; after its end, zeros follow. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes);

/* Numbers derived from a seed. */
uint64_t fuzz_hash(const uint8_t *data, size_t size);
uint64_t fuzz_random(uint64_t *state);

/* A value that parsers often mishandle, or one near a size. */
uint64_t fuzz_odd(uint64_t *state, uint64_t near);

/* Between these calls, some system call or allocation fails or does less than
 * requested. The seed determines which one, possibly none. */
void fuzz_faults(uint64_t seed);
void fuzz_faults_end(void);

/* The limits for one input: bytes allocated by the core at a time, and calls that read
 * since fuzz_limits_begin. Exceeding them is a crash. */
#define FUZZ_COST_MEMORY (64u << 20)
#define FUZZ_COST_READS  (1u << 22)
void fuzz_limits_begin(void);

#endif
