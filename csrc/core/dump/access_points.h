/* Access points of compressed data: where unpacking can begin, and the window of data
 * before each of them. See gzip.c. */
#ifndef QVM_ACCESS_POINTS_H
#define QVM_ACCESS_POINTS_H

#include "dump/inflate.h"
#include "util/limits.h"

#include <stddef.h>

#define ACCESS_POINTS_MAX LIMIT(512, 8)

struct stored_point {
    struct access_point point;
    unsigned window_size;
    unsigned char *window; /* NULL: nothing but zeros */
};

struct access_points {
    struct stored_point list[ACCESS_POINTS_MAX]; /* ascending; the first is at 0 */
    size_t count;
    uint64_t spacing; /* bytes of data between two of them, at least */
};

void access_points_init(struct access_points *points);
void access_points_free(struct access_points *points);

/* Is an offset far enough from the last point for another one? */
bool access_points_want(const struct access_points *points, uint64_t out);

/* Adds a point after the last one, with a copy of its window. Where there are too many,
 * they get farther apart. 0, or -1 and no change: out of memory. */
int access_points_add(struct access_points *points, const struct access_point *point,
                      const unsigned char *window, unsigned window_size);

/* The last point at or before an offset. NULL only where the data has not even one block.
 */
const struct stored_point *access_points_before(const struct access_points *points,
                                                uint64_t offset);

#endif
