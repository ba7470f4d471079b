/*
 * The destination of a dump's bytes: a file, with holes for zeros, or a pipe.
 *
 * The bytes are collected in one buffer. After the first error, calls do nothing; being
 * told to quit counts as the error ECANCELED.
 */
#ifndef SIM_SINK_H
#define SIM_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink {
    int fd;      /* borrowed */
    bool sparse; /* fd is a file: positions by offset, zeros as holes */
    unsigned char *buffer;
    size_t filled;
    uint64_t position; /* bytes taken so far, including those in the buffer */
    uint64_t total;    /* bytes to come in total */
    double seconds;    /* how long that is to take; 0: no pacing */
    double started;
    unsigned step; /* paced: steps done, and where the next one ends */
    uint64_t step_end;
    int error; /* errno value; 0: none so far */
};

/* Prepares `sink` for `total` bytes, spread over `seconds`. */
void sink_open(struct sink *sink, int fd, bool sparse, uint64_t total, double seconds);

void sink_bytes(struct sink *sink, const void *bytes, size_t count);
void sink_zeros(struct sink *sink, uint64_t count);

/* Writes out the buffer and releases it; `fd` stays open. The last bytes given must not be
   zeros by sink_zeros(): a hole at the end would be lost. Returns `error`. */
int sink_close(struct sink *sink);

/* Each stores a little-endian value at `at` and returns the address after it. */
unsigned char *put_u8(unsigned char *at, unsigned value);
unsigned char *put_u16(unsigned char *at, unsigned value);
unsigned char *put_u32(unsigned char *at, uint32_t value);
unsigned char *put_u64(unsigned char *at, uint64_t value);

#endif
