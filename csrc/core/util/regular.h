/* Opening files that must be regular: anything else might wait for ever, or have no end. */
#ifndef QVM_REGULAR_H
#define QVM_REGULAR_H

#include "util/error.h"

#include <stdint.h>

/* A descriptor for reading, closed on exec, and the file's size in bytes; or -1, with
 * QVM_UNSUPPORTED for what is no regular file. */
int regular_open(const char *path, uint64_t *size, struct qvm_error *err);

/* The same for a name that others may change: a symbolic link is not followed, and what is
 * no regular file is not opened (a device may act when it is). */
int regular_open_checked(const char *path, uint64_t *size, struct qvm_error *err);

#endif
