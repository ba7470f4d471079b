/* Reads the system logger: slogger2 of QNX, through libslog2parse. */
#ifndef QVM_SLOG2_H
#define QVM_SLOG2_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SLOG2_SIZE_MAX (16u << 20) /* bytes; more is QVM_TOO_LARGE */

/* A buffer of slogger2: a ring, in which new messages replace the oldest ones. */
struct slog2_buffer {
    uint32_t pid;  /* of the process that logs to it */
    uint64_t hash; /* of its names */
    size_t file;   /* place in `bytes` of the NUL-terminated name of its file */
    size_t name;   /* and of its own name */
};

struct slog2_packet {
    uint64_t time;     /* nanoseconds since 1970; since boot if is_monotonic */
    uint32_t buffer;   /* index */
    uint16_t sequence; /* number, modulo 2^16, among the messages of its process */
    uint16_t tid, code;
    uint8_t severity;
    bool is_monotonic;
    bool is_loss; /* messages were overwritten before they were read; it has no text */
    uint32_t text, size; /* place in `bytes`, and length */
};

/* Everything that the logger holds at one time, in the order of time. */
struct slog2_log {
    struct slog2_packet *packets;
    size_t count;
    struct slog2_buffer *buffers;
    size_t buffer_count;
    char *bytes;
    size_t size;
    /* The numbers seem to be those of all processes together, as the documentation of 7.0
     * says. (Those of 7.1 and 8.0 say: of one process.) Then a process has gaps in its
     * numbers although nothing is lost. */
    bool is_numbered_system_wide;
};

/* Reads what the process `owner` has logged, or every process if it is 0. Returns 0, or -1
 * and a filled err: QVM_UNSUPPORTED where there is no slogger2. In both cases the caller
 * owns the log and must call slog2_free(). */
int slog2_read(struct slog2_log *log, pid_t owner, struct qvm_error *err);

/* May be called more than once, and for a log that is all zero. */
void slog2_free(struct slog2_log *log);

#endif
