/*
 * Where the bytes of a dump go: a file, with holes for zeros, or a pipe.
 *
 * One buffer gathers the bytes. The first error sticks, and later calls do nothing; being
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
    uint64_t position; /* bytes taken so far, those in the buffer included */
    uint64_t total;    /* bytes that will come in all */
    double seconds;    /* the time to take for them; 0: no pacing */
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

#endif
