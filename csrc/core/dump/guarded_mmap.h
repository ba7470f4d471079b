/* A read-only mapping of a file that survives the file being cut short.
 *
 * A mapped page beyond the new end raises SIGBUS, and the rest of the page that holds the
 * new end reads as zeros. Both are detected here and reported, so that neither ends the
 * process nor passes for data.
 *
 * While any mapping exists, a SIGBUS handler is installed for the process. A SIGBUS that no
 * copy of this file has caused goes to the handler that was there before. */
#ifndef QVM_GUARDED_MMAP_H
#define QVM_GUARDED_MMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guarded_mmap {
    const unsigned char *base; /* NULL: not mapped */
    uint64_t size;
    uint64_t last_page; /* offset of the page that holds the last byte */
    int fd;
};

/* Maps the first `size` bytes of the file. False where that cannot be done (an empty file,
 * no address space): read it then. The descriptor stays the caller's and must stay open. */
bool guarded_mmap_open(struct guarded_mmap *map, int fd, uint64_t size);
void guarded_mmap_close(struct guarded_mmap *map);

/* Copies n bytes from an offset; offset + n <= size. False if that failed: the file was
 * cut, or its disk has an error. Reading the file tells which. Threads may copy at once. */
bool guarded_mmap_copy(const struct guarded_mmap *map, void *to, uint64_t offset, size_t n);

#endif
