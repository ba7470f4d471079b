/*
 * Whole-file reading and uninterrupted writing.
 */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include "text.h"

#include <stddef.h>

/* Appends the bytes of the file at `path`, at most 16 MiB, to `out`. Returns 0, or -1 with
   errno set (EFBIG: too long, ENOMEM). */
int file_read(const char *path, struct text *out);

/* Writes `count` bytes, in one write() unless the system takes fewer. Waits where `fd` is
   not ready, but not once the simulator was told to quit. Returns 0, or -1 with errno set
   (ECANCELED: told to quit). */
int file_write(int fd, const void *bytes, size_t count);

/* Makes sure that descriptors 0, 1 and 2 are open (on /dev/null if need be), so that no
   other file comes to stand where messages go. Returns 0, or -1 with errno set. */
int file_open_standard(void);

#endif
