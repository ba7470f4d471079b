/* The system logger's text: slogger2 of QNX, through libslog2parse. */
#ifndef QVM_LOGS_H
#define QVM_LOGS_H

#include "util/error.h"

#include <stddef.h>
#include <sys/types.h>

#define LOGS_SIZE_MAX (16u << 20) /* bytes; more is too_large */

struct logs {
    char *bytes; /* lines, oldest first */
    size_t size;
};

/* Reads what the process `owner` has logged, or every process where it is 0. Ownership: the
 * bytes are the caller's, until logs_free. unsupported where the system has no slogger2. */
int logs_read(struct logs *logs, pid_t owner, struct qvm_error *err);

/* Also for one that was only zeroed, and twice. */
void logs_free(struct logs *logs);

#endif
