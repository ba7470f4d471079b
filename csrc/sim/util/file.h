/*
 * Reading whole files, and writing all bytes.
 */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include "util/text.h"

#include <stddef.h>
#include <stdint.h>

/* Appends the bytes of the file at `path`, at most 16 MiB, to `out`. Returns 0, or -1 with
   errno set (EFBIG: too long, ENOMEM). */
int file_read(const char *path, struct text *out);

/* Writes `count` bytes, in one write() unless the system takes fewer. Waits if `fd` is not
   ready, until the simulator is told to quit. Returns 0, or -1 with errno set
   (ECANCELED: told to quit). */
int file_write(int fd, const void *bytes, size_t count);

/* Reads exactly `size` bytes at an offset. Returns 0, or an errno value (EIO: the file ends
   before). */
int file_read_at(int fd, uint64_t offset, void *bytes, size_t size);

/* Opens descriptors 0, 1 and 2 on /dev/null if they are closed, so that no other file gets
   the descriptor that messages are written to. Returns 0, or -1 with errno set. */
int file_open_standard(void);

#endif
