/* Random access to a gzip file, without unpacking it to the disk: the method of zlib's
 * examples/zran.c.
 *
 * The first pass over the data leaves access points behind: where a block begins, and the
 * 32 KiB before it that the block may refer to. A later read begins at the point before it.
 * With the chunks that are kept, an open file takes at most some 26 MiB, whatever its size.
 * The points of a whole file can be kept in another file, its index.
 *
 * Not for use by two threads at once. */
#ifndef QVM_GZIP_H
#define QVM_GZIP_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gzip;
struct gzip_index;

/* True if a file that begins with these bytes seems to be gzip's. */
bool gzip_is_magic(const unsigned char head[4]);

/* The descriptor and the path stay the caller's and must outlive it. A checksum that turns
 * out wrong ends all reading, unless `lenient`. NULL on failure. */
struct gzip *gzip_new(int fd, const char *path, bool lenient, struct qvm_error *err);
void gzip_free(struct gzip *gzip);

/* Reads n bytes at an offset of the data. Codes: truncated (the data ends before),
 * malformed (damaged), QVM_INCOMPLETE (much is to be unpacked first: some of that was done,
 * call once more), io. */
int gzip_read(struct gzip *gzip, uint64_t offset, void *to, size_t n,
              struct qvm_error *err);

/* Continues the first pass to the end, to learn the size and check the checksums. Codes as
 * above; but a file that is cut is no failure, nor is one that is damaged if `lenient`: the
 * size is then that of the data before. */
int gzip_finish(struct gzip *gzip, struct qvm_error *err);

/* The size of the data modulo 2^32 as the end of the file states it: true for files of one
 * member that are whole. */
int gzip_stated_size(const struct gzip *gzip, uint32_t *size, struct qvm_error *err);

/* More than the data of the file can be: each byte of deflate data gives 1032 at most. */
uint64_t gzip_size_max(const struct gzip *gzip);

/* What the first pass has seen so far: the file's end in the middle of the data; data that
 * cannot be unpacked, or a wrong checksum; something other than zeros after the last
 * member. */
bool gzip_is_cut(const struct gzip *gzip);
bool gzip_is_damaged(const struct gzip *gzip);
bool gzip_has_garbage(const struct gzip *gzip);

/* Takes over the points of an index, which take the place of the first pass: due before
 * anything is read. */
void gzip_use_index(struct gzip *gzip, const struct gzip_index *index);

/* Makes the index of a file whose first pass has come to the end, and found nothing wrong;
 * otherwise fails as a read there would. The bytes are the caller's to free. */
int gzip_make_index(const struct gzip *gzip, unsigned char **bytes, size_t *size,
                    struct qvm_error *err);

/* Bytes unpacked by the first pass so far; after a successful gzip_finish, the size. */
uint64_t gzip_bytes_unpacked(const struct gzip *gzip);

#endif
