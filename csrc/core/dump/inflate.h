/* One pass of zlib over a gzip file, from its beginning or from an access point that an
 * earlier pass has found. Members that follow one another are one stream of data. */
#ifndef QVM_INFLATE_H
#define QVM_INFLATE_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#define INFLATER_WINDOW 32768 /* bytes that a block may refer back to */

enum inflater_state {
    INFLATER_UNPOSITIONED, /* inflater_seek is due */
    INFLATER_RUNS,
    INFLATER_ENDED,    /* the data is whole, its checksums are right */
    INFLATER_CUT,      /* the file ends in the middle of the data */
    INFLATER_DAMAGED,  /* the data cannot be unpacked further */
    INFLATER_BAD_CHECK /* a member was unpacked to its end, and its checksum is wrong */
};

struct inflater {
    int fd;
    const char *path;
    enum inflater_state state;
    bool raw;       /* began within a member: zlib checks no checksum */
    bool ended;     /* a member has ended, and the next one was not looked for yet */
    bool garbage;   /* something other than zeros follows the last member */
    bool in_member; /* zlib has seen the beginning of one */
    uint64_t in;    /* file offset after what is in the buffer */
    uint64_t out;   /* offset of the next byte of data */
    /* Bytes of the file that gave no data, and how many of them make inflater_run stop. */
    uint64_t overhead, overhead_max;
    z_stream stream; /* zlib's, once opened */
    unsigned char *buffer;
};

/* Where a pass can begin: the end of a block. */
struct access_point {
    uint64_t out;  /* offset in the data */
    uint64_t in;   /* offset in the file of the next block's first whole byte */
    unsigned bits; /* how many of the byte before it belong to the next block, too */
};

/* The descriptor and the path stay the caller's. */
int inflater_init(struct inflater *inflater, int fd, const char *path,
                  struct qvm_error *err);
void inflater_free(struct inflater *inflater);

/* Continues from an access point, with the up to INFLATER_WINDOW bytes of data before it.
 */
int inflater_seek(struct inflater *inflater, const struct access_point *point,
                  const unsigned char *window, unsigned size, struct qvm_error *err);

/* Unpacks the next bytes of data, up to n, and sets *got to their number: fewer only at the
 * end of a block, if `by_blocks`, or at the end of the data (see state). A file that cannot
 * be read is a failure, and so is QVM_INCOMPLETE: much of the file was taken in for no
 * data, as where members are empty. Before a failure bytes may have been unpacked, too. A
 * file that is cut or damaged is no failure but a state. */
int inflater_run(struct inflater *inflater, unsigned char *to, size_t n, bool by_blocks,
                 size_t *got, struct qvm_error *err);

/* Sets *point to where the pass is, if that can be an access point. Only right after a run
 * by blocks. */
bool inflater_access_point(const struct inflater *inflater, struct access_point *point);

/* The bytes of data before that point. Returns how many. */
unsigned inflater_window(struct inflater *inflater, unsigned char window[INFLATER_WINDOW]);

/* The offset in the file of what is unpacked next; of data that has ended, its end. */
uint64_t inflater_position(const struct inflater *inflater);

/* Fails as the state says: truncated, malformed. Returns -1. */
int inflater_fail(const struct inflater *inflater, struct qvm_error *err);

#endif
