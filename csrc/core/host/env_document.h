/* Reads a VM's env document (QNX Hypervisor 8.0 User's Guide: /dev/qvm/<system>/env), or a
 * small regular file, into memory. */
#ifndef QVM_ENV_DOCUMENT_H
#define QVM_ENV_DOCUMENT_H

#include "util/error.h"
#include "util/limits.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes; a longer document is QVM_TOO_LARGE. */
#define ENV_SIZE_MAX LIMIT(16u << 20, 20u << 10)

#define ENV_WAIT_MS 2000 /* how long a server may take to answer, in milliseconds */

/* Must be all zero before the first use, but for `piece`. The bytes are not terminated. */
struct env_document {
    char *bytes;
    size_t size, capacity;
    size_t piece; /* how many bytes one read asks for at most; 0: as many as fit */
};

/* Reads the env at `path` to its end, until the deadline (a time of os_clock_ms()). Returns
 * 0, or -1 and a filled err; in both cases the caller owns the bytes and must call
 * env_document_free(). */
int env_document_read(const char *path, int64_t deadline, struct env_document *document,
                      struct qvm_error *err);

/* The same for a file such as a configuration, which must be a regular one: the first bytes
 * of a FIFO may not have been written yet, and look like its end. */
int env_document_read_file(const char *path, struct env_document *document,
                           struct qvm_error *err);

void env_document_free(struct env_document *document);

#endif
