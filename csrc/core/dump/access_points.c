/* Points are at least `spacing` bytes of data apart: each is at the first end of a block
 * that is far enough from the last one. When the list is full, every second one is dropped
 * and the spacing is doubled:
 *
 *     0    1    2    3    4    5    6    7        spacing 1
 *     0         2         4         6             spacing 2, and room for as many again
 *
 * So windows take ACCESS_POINTS_MAX * 32 KiB, 16 MiB, at most, and a read unpacks about one
 * gap. A window of zeros, as most of a guest's memory is, needs no copy. */
#include "dump/access_points.h"

#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { SPACING = LIMIT(1 << 20, 8 << 10) }; /* at first */

void access_points_init(struct access_points *points)
{
    points->count = 0;
    points->spacing = SPACING;
}

void access_points_free(struct access_points *points)
{
    for (size_t i = 0; i < points->count; i++)
        free(points->list[i].window);
    access_points_init(points);
}

bool access_points_want(const struct access_points *points, uint64_t out)
{
    return points->count == 0 ||
           out - points->list[points->count - 1].point.out >= points->spacing;
}

/* The first stays: it is where everything can be reached from. Two neighbouring gaps of at
 * least `spacing` make one of at least twice that, so the rule of access_points_want()
 * holds for the points that remain. */
static void thin_out(struct access_points *points)
{
    size_t kept = 0;

    for (size_t i = 0; i < points->count; i++) {
        if (i % 2)
            free(points->list[i].window);
        else
            points->list[kept++] = points->list[i];
    }
    points->count = kept;
    points->spacing *= 2;
}

/* The copy is made before a point is dropped, so that the list is whole after a failure. */
int access_points_add(struct access_points *points, const struct access_point *point,
                      const unsigned char *window, unsigned window_size)
{
    struct stored_point stored = {.point = *point, .window_size = window_size};

    if (!bytes_are_zero(window, window_size)) {
        stored.window = malloc(window_size);
        if (!stored.window)
            return -1;
        memcpy(stored.window, window, window_size);
    }
    if (points->count == ACCESS_POINTS_MAX)
        thin_out(points);
    points->list[points->count++] = stored;
    return 0;
}

/* Invariant: points below `low` are at or before the offset, those from `high` on after it.
 */
const struct stored_point *access_points_before(const struct access_points *points,
                                                uint64_t offset)
{
    size_t low = 0, high = points->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (points->list[middle].point.out <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &points->list[low - 1] : NULL;
}
