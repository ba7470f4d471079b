/*
 * Reading whole files, and writing all bytes.
 */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include "util/text.h"

#include <stddef.h>

/* Appends the bytes of the file at `path`, at most 16 MiB, to `out`. Returns 0, or -1 with
   errno set (EFBIG: too long, ENOMEM). */
int file_read(const char *path, struct text *out);

/* Writes `count` bytes, in one write() unless the system takes fewer. Waits if `fd` is not
   ready, until the simulator is told to quit. Returns 0, or -1 with errno set
   (ECANCELED: told to quit). */
int file_write(int fd, const void *bytes, size_t count);

/* Opens descriptors 0, 1 and 2 on /dev/null if they are closed, so that no other file gets
   the descriptor that messages are written to. Returns 0, or -1 with errno set. */
int file_open_standard(void);

#endif
