/* The index of a gzip file: its access points, as bytes that are kept beside it, so that a
 * later opening need not unpack from the beginning. */
#ifndef QVM_GZIP_INDEX_H
#define QVM_GZIP_INDEX_H

#include "dump/access_points.h"

/* The gzip file, as far as fstat() tells: one that has changed may have other data. */
struct gzip_state {
    uint64_t size;
    int64_t time; /* of its last change, in seconds */
};

struct gzip_index {
    struct gzip_state state; /* when it was opened */
    uint64_t data_size;      /* bytes of the unpacked data */
    uint64_t end;            /* offset in the file after the last member */
    bool garbage;            /* something other than zeros follows the last member */
    struct access_points points;
};

int gzip_state(int fd, const char *path, struct gzip_state *state, struct qvm_error *err);

/* Makes the bytes, which are the caller's to free, for the gzip file in `fd`. Codes:
 * malformed (the file has changed since it was opened), io, no_memory. */
int gzip_index_encode(const struct gzip_index *index, int fd, const char *path,
                      unsigned char **bytes, size_t *size, struct qvm_error *err);

/* Takes the index of the gzip file in `fd` out of bytes; then access_points_free() is due.
 * Codes: unsupported (not an index of this version), malformed (damaged, or of another
 * file), io, no_memory. After a failure nothing is to be freed. */
int gzip_index_decode(struct gzip_index *index, int fd, const char *path,
                      const unsigned char *bytes, size_t size, struct qvm_error *err);

/* The same from the file at a path. Code permission unless it belongs to this user or to
 * the owner of the gzip file, and only its owner may write to it. Code not_found. */
int gzip_index_read(struct gzip_index *index, int fd, const char *path,
                    struct qvm_error *err);

#endif
