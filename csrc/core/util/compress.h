/* Compression of files by the host's command gzip. */
#ifndef QVM_COMPRESS_H
#define QVM_COMPRESS_H

#include "util/error.h"

/* Compresses a regular file that is open as `fd`, from its beginning, into a new file for
 * this user alone; `path` is what messages call the open file. Returns 0; or -1 and there
 * is no new file: QVM_BUSY if the name `to` is taken, even by a symbolic link. */
int compress_file(int fd, const char *path, const char *to, struct qvm_error *err);

#endif
