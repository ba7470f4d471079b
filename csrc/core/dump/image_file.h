/* Random access to a file of any size, compressed by gzip or not.
 *
 * Errors of what reads: truncated (the file has, or now has, fewer bytes), io, and of a
 * compressed file malformed and QVM_INCOMPLETE: it is to be unpacked further first, call
 * once more. */
#ifndef QVM_IMAGE_FILE_H
#define QVM_IMAGE_FILE_H

#include "dump/page_cache.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

struct image_file {
    int fd;
    uint64_t size; /* bytes, when it was opened; compressed: see image_file_resolve_size */
    bool lenient;  /* see image_file_open */
    bool cut;      /* compressed, and its end is missing */
    bool damaged;  /* compressed, and cannot be unpacked further or has a wrong checksum */
    bool garbage;  /* compressed, and something follows its data */
    struct gzip *gzip;        /* NULL: not compressed */
    struct page_cache *cache; /* see image_file_read_cached; NULL: no memory */
    const char *path;         /* the caller's */
};

/* The path stays the caller's, and must outlive the file and the errors of its functions,
 * which refer to it. 0, or -1 and nothing to close. If `lenient`, a compressed file that is
 * damaged is read as far as that goes. */
int image_file_open(struct image_file *file, const char *path, bool lenient,
                    struct qvm_error *err);

/* The same for a regular file that is open already: the descriptor stays the caller's, the
 * path is what messages say. */
int image_file_open_fd(struct image_file *file, int fd, const char *path, bool lenient,
                       struct qvm_error *err);

void image_file_close(struct image_file *file);

/* Due before anything else is read: begins to unpack a compressed file. Does nothing for
 * another one, or when it has succeeded before. */
int image_file_detect_gzip(struct image_file *file, struct qvm_error *err);

/* Makes the size of a compressed file known, unpacked. Before this `size` is only a bound.
 * A file that states one of the two sizes that are expected of it, and can be as large, is
 * believed; any other, or if `lenient`, is unpacked to its end. */
int image_file_resolve_size(struct image_file *file, uint64_t expected,
                            uint64_t or_expected, struct qvm_error *err);

/* Is the size certain? That of a compressed file is believed before it is unpacked. */
bool image_file_size_is_certain(const struct image_file *file);

/* Uses the index that the file at a path is, so that nothing need be unpacked first: due
 * before image_file_detect_gzip(). Does nothing for a file that is not compressed, or
 * read leniently: such a reader must learn what is wrong with the file. 1: it is used; 0:
 * nothing was done; -1 with the codes of gzip_index_read(): the file is as it was. */
int image_file_use_index(struct image_file *file, const char *index_path,
                         struct qvm_error *err);

/* Unpacks a compressed file to its end and makes the index of it: bytes that the caller
 * frees; NULL for a file for which image_file_use_index() does nothing. A file that is cut
 * or damaged has none: codes truncated, malformed. */
int image_file_make_index(struct image_file *file, unsigned char **bytes, size_t *size,
                          struct qvm_error *err);

/* Bytes of the data that were seen so far: of a compressed file, those that were unpacked.
 */
uint64_t image_file_bytes_unpacked(const struct image_file *file);

/* Checks that the file had n bytes at an offset when it was opened. Code truncated. */
int image_file_check(const struct image_file *file, uint64_t offset, uint64_t n,
                     struct qvm_error *err);

/* Reads exactly n bytes at an offset. Several threads may do so at once, unless the file is
 * compressed. */
int image_file_read(const struct image_file *file, uint64_t offset, void *to, size_t n,
                    struct qvm_error *err);

/* The same, of few bytes that may be wanted again, through the cache. Not by two threads at
 * once. */
int image_file_read_cached(const struct image_file *file, uint64_t offset, void *to,
                           size_t n, struct qvm_error *err);

#endif
