/* Writing a file so that there is always a whole one: the old or the new. */
#ifndef QVM_SAVE_H
#define QVM_SAVE_H

#include "util/error.h"

#include <stddef.h>

/* 0, or -1 and the file is as it was. */
int save_file(const char *path, const void *bytes, size_t n, struct qvm_error *err);

#endif
