/* What the targets share. A target is LLVMFuzzerTestOneInput in a file of its own. */
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

/* What must hold whatever the input is. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_die(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_die(const char *file, int line, const char *what);

/* Files of an input, in memory: up to FUZZ_FILES of them. The path is good until the next
 * call for the same number. */
enum { FUZZ_FILES = 4 };
const char *fuzz_file(unsigned number, const void *bytes, size_t n);

/* Makes a file longer, and puts bytes at an offset; what was not written is a hole. */
void fuzz_file_put(unsigned number, uint64_t offset, const void *bytes, size_t n);
void fuzz_file_extend(unsigned number, uint64_t size);

/* An error to hand in, and whether what came back is one that may come: a code that
 * scripts know, a message that has the text in it. */
struct qvm_error *fuzz_error(void);
void fuzz_failed(const struct qvm_error *err, const char *text);

/* Opens and loads; NULL where it fails as it may. */
struct dump *fuzz_open(const char *path, bool partial);

/* Reads memory and calls again as long as there is more to do. 0, or -1 and checked. */
int fuzz_read(const struct dump *dump, uint64_t address, void *to, size_t n);

/* Takes an input apart; behind its end there are zeros. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes);

/* Numbers that follow from a seed. */
uint64_t fuzz_hash(const uint8_t *data, size_t size);
uint64_t fuzz_random(uint64_t *state);

/* A value that parsers get wrong, or one near a size. */
uint64_t fuzz_odd(uint64_t *state, uint64_t near);

/* From here on to the end some call to the system or for memory fails, or does less than it
 * was asked for: which one follows from the seed, and may be none. */
void fuzz_faults(uint64_t seed);
void fuzz_faults_end(void);

/* What one input may cost: bytes that the core holds at a time, and calls that read since
 * fuzz_limits_begin. More is a crash. */
#define FUZZ_COST_MEMORY (64u << 20)
#define FUZZ_COST_READS  (1u << 22)
void fuzz_limits_begin(void);

#endif
