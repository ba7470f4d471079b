/* One pass of zlib over a gzip file, from its beginning or from a place that an earlier
 * pass has marked. Members that follow one another are one stream of data. */
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
    INFLATER_DAMAGED,  /* the data cannot go on */
    INFLATER_BAD_CHECK /* it went to the end of a member, and its checksum is wrong */
};

struct inflater {
    int fd;
    const char *path;
    enum inflater_state state;
    bool raw;       /* began within a member: zlib checks no checksum */
    bool ended;     /* a member has, and the next one was not looked for */
    bool garbage;   /* something other than zeros follows the last member */
    bool in_member; /* zlib has seen the beginning of one */
    uint64_t in;    /* file offset behind what is in the buffer */
    uint64_t out;   /* offset of the next byte of data */
    /* Bytes of the file that gave no data, and how many of them are too many at once. */
    uint64_t overhead, overhead_max;
    z_stream stream; /* zlib's, once opened */
    unsigned char *buffer;
};

/* A place to begin at: the end of a block. */
struct access_point {
    uint64_t out, in; /* offsets in the data, and of the first whole byte in the file */
    unsigned bits;    /* of the byte before `in` that belong to the next block */
};

/* The descriptor and the path stay the caller's. */
int inflater_open(struct inflater *inflater, int fd, const char *path,
                  struct qvm_error *err);
void inflater_close(struct inflater *inflater);

/* Goes to a place, with the up to INFLATER_WINDOW bytes of data that stand before it. */
int inflater_seek(struct inflater *inflater, const struct access_point *point,
                  const unsigned char *window, unsigned size, struct qvm_error *err);

/* The next bytes of data, up to n, and how many they are: fewer only at the end of a block
 * where that is asked for, or of the data (see state). A file that cannot be read is a
 * failure, before which bytes may have come; so is code incomplete: much of the file was
 * taken in for no data, as where members are empty. One that is cut or damaged is a state.
 */
int inflater_run(struct inflater *inflater, unsigned char *to, size_t n, bool by_blocks,
                 size_t *got, struct qvm_error *err);

/* Is here a place to begin at? Right after a run by blocks. */
bool inflater_access_point(const struct inflater *inflater, struct access_point *point);

/* The bytes before that place. Returns how many. */
unsigned inflater_window(struct inflater *inflater, unsigned char window[INFLATER_WINDOW]);

/* Fills err with what the state says of the data. Returns -1. */
int inflater_fail(const struct inflater *inflater, struct qvm_error *err);

#endif
