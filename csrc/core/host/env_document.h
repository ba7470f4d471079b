/* Reading a VM's env document. */
#ifndef QVM_ENV_DOCUMENT_H
#define QVM_ENV_DOCUMENT_H

#include "util/error.h"

#include <stddef.h>
#include <stdint.h>

#define ENV_SIZE_MAX (16u << 20) /* bytes; a longer document is too_large */
#define ENV_WAIT_MS  2000        /* how long a server may take to answer */

/* The document's bytes. All zero before the first use. */
struct env_document {
    char *bytes;
    size_t size, room;
};

/* Reads until the end of the file, whatever size its status claims: the file is composed by
 * the server while it is read. The deadline is a time of os_clock_ms(). 0, or -1; in both
 * cases env_document_free is due. */
int env_document_read(const char *path, int64_t deadline, struct env_document *text,
                      struct qvm_error *err);

/* The same of a file, a configuration for instance. It must be a regular one: a pipe whose
 * writer has yet to come would be empty. */
int env_document_read_file(const char *path, struct env_document *text,
                           struct qvm_error *err);

void env_document_free(struct env_document *text);

#endif
