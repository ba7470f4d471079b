/* The system logger's text: slogger2 of QNX, through libslog2parse. */
#ifndef QVM_SLOG2_H
#define QVM_SLOG2_H

#include "util/error.h"

#include <stddef.h>
#include <sys/types.h>

#define SLOG2_SIZE_MAX (16u << 20) /* bytes; more is too_large */

struct slog2_text {
    char *bytes; /* lines, oldest first */
    size_t size;
};

/* Reads what the process `owner` has logged, or every process where it is 0. Ownership: the
 * bytes are the caller's, until slog2_free. unsupported where the system has no slogger2.
 */
int slog2_read(struct slog2_text *logs, pid_t owner, struct qvm_error *err);

/* Also for one that was only zeroed, and twice. */
void slog2_free(struct slog2_text *logs);

#endif
