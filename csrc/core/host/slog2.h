/* Reads the text of the system logger: slogger2 of QNX, through libslog2parse. */
#ifndef QVM_SLOG2_H
#define QVM_SLOG2_H

#include "util/error.h"

#include <stddef.h>
#include <sys/types.h>

#define SLOG2_SIZE_MAX (16u << 20) /* bytes; more is QVM_TOO_LARGE */

struct slog2_text {
    char *bytes; /* lines, oldest first; not terminated */
    size_t size;
};

/* Reads what the process `owner` has logged, or every process if it is 0. Returns 0, or -1
 * and a filled err: QVM_UNSUPPORTED where there is no slogger2. In both cases the caller
 * owns the bytes and must call slog2_free(). */
int slog2_read(struct slog2_text *text, pid_t owner, struct qvm_error *err);

/* May be called more than once, and for a text that is all zero. */
void slog2_free(struct slog2_text *text);

#endif
