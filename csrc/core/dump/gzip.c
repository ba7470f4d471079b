/* Deflate data can be unpacked from its beginning only, unless one knows where a block
 * begins and what the 32 KiB before it were (the window, which blocks refer back into).
 * Together these are an access point:
 *
 *     data     0 ................ 1 MiB ............... 2 MiB ................ first
 *     points   |                     |                     |
 *     read                                  [chunk]
 *                                    `-- unpacked again, from the point before it
 *
 * Two passes of inflate.c use that:
 *
 * - `first` goes forward, never back, as far as anybody has read. At the end of a block
 *   that is far enough from the last access point it adds one (access_points.c).
 * - `later` reads what `first` has passed: from the last access point before it, or from
 *   where it is if that is nearer.
 *
 * Both unpack chunks of a fixed size. `first` is in one chunk, and the last SLOTS chunks of
 * `later` are kept, least recently used out first, since reads of a dump are small and near
 * each other.
 *
 * Where an index has given the access points of the whole file (gzip_index.c), `first` has
 * ended before it begins.
 *
 * A call unpacks AT_ONCE bytes at most and then fails with QVM_INCOMPLETE. Both passes stay
 * where they are, so the next call comes further. */
#include "dump/gzip.h"

#include "dump/gzip_index.h"
#include "util/bytes.h"
#include "util/limits.h"
#include "util/retry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK = LIMIT(256 << 10, 4 << 10), /* what is unpacked and kept at a time */
    SLOTS = LIMIT(32, 4),              /* chunks that are kept */
    AT_ONCE =
        LIMIT(64 << 20,
              64 << 10), /* bytes that one call unpacks at most before those it is for */
    SIZE_FIELD = 4       /* the last bytes of a member */
};

struct slot {
    bool used;
    uint64_t chunk, last_use; /* number of the chunk; `uses` of the last read of it */
    size_t size;              /* less than CHUNK at the data's end */
    unsigned char *bytes;
};

struct gzip {
    int fd;
    const char *path;
    bool lenient;
    struct gzip_state state; /* of the file, when it was opened */

    struct inflater first;
    struct slot front; /* the chunk that it is in; none before it has begun */
    struct access_points points;

    struct inflater later;
    struct slot slots[SLOTS];
    uint64_t uses;
    unsigned char window[INFLATER_WINDOW]; /* scratch */
};

bool gzip_is_magic(const unsigned char head[4])
{
    return head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
}

struct gzip *gzip_new(int fd, const char *path, bool lenient, struct qvm_error *err)
{
    struct gzip *gzip = calloc(1, sizeof *gzip);

    if (!gzip) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    gzip->fd = fd;
    gzip->path = path;
    gzip->lenient = lenient;
    access_points_init(&gzip->points);
    gzip->front.bytes = malloc(CHUNK);
    if (gzip->front.bytes && gzip_state(fd, path, &gzip->state, err) == 0 &&
        inflater_init(&gzip->first, fd, path, err) == 0 &&
        inflater_init(&gzip->later, fd, path, err) == 0) {
        gzip->later.state = INFLATER_UNPOSITIONED;
        return gzip;
    }
    if (!gzip->front.bytes)
        qvm_fail_memory(err, path);
    gzip_free(gzip);
    return NULL;
}

void gzip_free(struct gzip *gzip)
{
    access_points_free(&gzip->points);
    for (size_t i = 0; i < SLOTS; i++)
        free(gzip->slots[i].bytes);
    free(gzip->front.bytes);
    inflater_free(&gzip->first);
    inflater_free(&gzip->later);
    free(gzip);
}

/* The first pass --------------------------------------------------------------------- */

/* Adds an access point where the first pass is, if it can be one and none is near. */
static int add_point_here(struct gzip *gzip, struct qvm_error *err)
{
    struct access_point point;
    unsigned size;

    if (!inflater_access_point(&gzip->first, &point) ||
        !access_points_want(&gzip->points, point.out))
        return 0;
    size = inflater_window(&gzip->first, gzip->window);
    return access_points_add(&gzip->points, &point, gzip->window, size) == 0
               ? 0
               : qvm_fail_memory(err, gzip->path);
}

/* Unpacks the next chunk, or as much of it as the data has. It stops after each block,
 * since that is where an access point can be. Invariant: `first.out` is front.chunk * CHUNK
 * + front.size, before and after. */
static int advance(struct gzip *gzip, struct qvm_error *err)
{
    struct slot *front = &gzip->front;
    size_t got;

    if (front->used && front->size == CHUNK) {
        front->chunk++;
        front->size = 0;
    }
    front->used = true;
    while (front->size < CHUNK && gzip->first.state == INFLATER_RUNS) {
        int status = inflater_run(&gzip->first, front->bytes + front->size,
                                  CHUNK - front->size, true, &got, err);

        front->size += got; /* also before a failure: the next call continues there */
        if (status != 0 || add_point_here(gzip, err) != 0)
            return -1;
    }
    return 0;
}

/* Brings the first pass beyond an offset, up to a limit. Fails where the data ends before.
 * The limit is checked between chunks, so a call may exceed it by one chunk. A wrong
 * checksum spoils all that the member gave, also what was unpacked before the trailer; the
 * lenient reader accepts it. */
static int advance_to(struct gzip *gzip, uint64_t offset, struct qvm_error *err)
{
    uint64_t begun = gzip->first.out;

    while (gzip->first.out <= offset && gzip->first.state == INFLATER_RUNS) {
        if (gzip->first.out - begun >= AT_ONCE)
            return qvm_fail(err, QVM_INCOMPLETE, "%s: not unpacked so far", gzip->path);
        if (advance(gzip, err) != 0)
            return -1;
    }
    if (gzip->first.state == INFLATER_BAD_CHECK && !gzip->lenient)
        return inflater_fail(&gzip->first, err);
    return gzip->first.out > offset ? 0 : inflater_fail(&gzip->first, err);
}

/* The later pass --------------------------------------------------------------------- */

/* Must the pass start from the access point? Not if it is between that and the offset. */
static bool must_restart(const struct inflater *later, const struct stored_point *point,
                         uint64_t offset)
{
    return later->out > offset || later->out < point->point.out ||
           later->state != INFLATER_RUNS;
}

/* Brings the later pass to an offset. What is unpacked on the way goes to `scratch`, which
 * has room for a chunk. The pass only moves forward from here, by at most the spacing of
 * the points and the length of one block. A hostile file may have one block of gigabytes,
 * hence the limit. A call that comes to it is not lost: must_restart() then finds the pass
 * between the point and the offset. */
static int seek(struct gzip *gzip, uint64_t offset, unsigned char *scratch,
                struct qvm_error *err)
{
    struct inflater *later = &gzip->later;
    const struct stored_point *point = access_points_before(&gzip->points, offset);
    const unsigned char *window;
    size_t got;

    if (!point)
        return qvm_fail(err, QVM_MALFORMED, "%s: no gzip data", gzip->path);
    if (must_restart(later, point, offset)) {
        memset(gzip->window, 0, point->window_size);
        window = point->window ? point->window : gzip->window;
        if (inflater_seek(later, &point->point, window, point->window_size, err) != 0)
            return -1;
    }
    for (uint64_t begun = later->out; later->out < offset;) {
        uint64_t left = offset - later->out;

        if (later->out - begun >= AT_ONCE)
            return qvm_fail(err, QVM_INCOMPLETE, "%s: not unpacked so far", gzip->path);
        if (inflater_run(later, scratch, left < CHUNK ? (size_t)left : CHUNK, false, &got,
                         err) != 0)
            return -1;
        if (got == 0)
            return inflater_fail(later, err);
    }
    return 0;
}

/* The slot that was not used for the longest time, emptied. */
static struct slot *take_slot(struct gzip *gzip, struct qvm_error *err)
{
    struct slot *oldest = &gzip->slots[0];

    for (size_t i = 1; i < SLOTS; i++)
        if (gzip->slots[i].last_use < oldest->last_use)
            oldest = &gzip->slots[i];
    oldest->used = false;
    if (!oldest->bytes)
        oldest->bytes = malloc(CHUNK);
    if (oldest->bytes)
        return oldest;
    qvm_fail_memory(err, gzip->path);
    return NULL;
}

/* Fills a slot with a chunk. A call that is incomplete within the chunk leaves the pass
 * after the chunk's start, so the next call unpacks it again from the access point. With an
 * unchanged limit that would stop at the same byte, so the limit is doubled until the chunk
 * is there. One that is incomplete before the chunk continues where it is. A chunk that
 * ends with damage is not kept: the first pass has found none in it, nor has that of an
 * index, so the file has changed. */
static int unpack(struct gzip *gzip, struct slot *slot, uint64_t chunk,
                  struct qvm_error *err)
{
    struct inflater *later = &gzip->later;

    if (seek(gzip, chunk * CHUNK, slot->bytes, err) != 0)
        return -1;
    if (inflater_run(later, slot->bytes, CHUNK, false, &slot->size, err) != 0) {
        if (err->code == QVM_INCOMPLETE && later->overhead_max <= UINT64_MAX / 2)
            later->overhead_max *= 2;
        return -1;
    }
    later->overhead_max = gzip->first.overhead_max;
    if (slot->size < CHUNK && later->state != INFLATER_RUNS &&
        later->state != INFLATER_ENDED)
        return inflater_fail(later, err);
    slot->used = true;
    slot->chunk = chunk;
    return 0;
}

/* The chunk, from the slots or unpacked again. NULL on failure. A scan of all slots is
 * cheap beside unpacking a chunk. */
static struct slot *fetch(struct gzip *gzip, uint64_t chunk, struct qvm_error *err)
{
    struct slot *slot = NULL;

    for (size_t i = 0; i < SLOTS; i++)
        if (gzip->slots[i].used && gzip->slots[i].chunk == chunk)
            return &gzip->slots[i];
    slot = take_slot(gzip, err);
    return slot && unpack(gzip, slot, chunk, err) == 0 ? slot : NULL;
}

/* Reading ---------------------------------------------------------------------------- */

/* The first pass goes first. Afterwards the offset is in `front`, or in an earlier chunk,
 * which is complete and has an access point before it. Reads that ascend, as those of a
 * scan, are served from `front` and unpack each byte once. */
int gzip_read(struct gzip *gzip, uint64_t offset, void *to, size_t n, struct qvm_error *err)
{
    unsigned char *out = to;

    while (n > 0) {
        uint64_t chunk = offset / CHUNK;
        size_t within = (size_t)(offset % CHUNK), part;
        struct slot *slot;

        if (advance_to(gzip, offset, err) != 0)
            return -1;
        slot = gzip->front.used && gzip->front.chunk == chunk ? &gzip->front
                                                              : fetch(gzip, chunk, err);
        if (!slot)
            return -1;
        if (slot->size <= within) /* the file has changed since the first pass */
            return inflater_fail(&gzip->later, err);
        slot->last_use = ++gzip->uses;
        part = slot->size - within < n ? slot->size - within : n;
        memcpy(out, slot->bytes + within, part);
        out += part;
        offset += part;
        n -= part;
    }
    return 0;
}

int gzip_finish(struct gzip *gzip, struct qvm_error *err)
{
    if (advance_to(gzip, UINT64_MAX, err) == 0 || err->code == QVM_TRUNCATED)
        return 0;
    return gzip->lenient && err->code == QVM_MALFORMED ? 0 : -1;
}

/* The last four bytes of the file: the size of the last member modulo 2^32, if the file
 * ends with one (RFC 1952, ISIZE). A file of several members, of 4 GiB or more, with
 * padding, or cut states something else. So this only confirms a size that follows from the
 * headers: see image_file_resolve_size(). */
int gzip_stated_size(const struct gzip *gzip, uint32_t *size, struct qvm_error *err)
{
    unsigned char field[SIZE_FIELD] = {0};
    off_t end = lseek(gzip->fd, 0, SEEK_END);

    if (end < 0 || (end >= SIZE_FIELD &&
                    retry_pread(gzip->fd, field, SIZE_FIELD, end - SIZE_FIELD) < 0))
        return qvm_fail_errno(err, errno, gzip->path);
    *size = bytes_u32(field, false);
    return 0;
}

/* The shortest code of 258 bytes is one bit of length and one of distance (RFC 1951). */
uint64_t gzip_size_max(const struct gzip *gzip)
{
    return gzip->state.size > UINT64_MAX / 1032 ? UINT64_MAX : gzip->state.size * 1032;
}

bool gzip_is_cut(const struct gzip *gzip)
{
    return gzip->first.state == INFLATER_CUT;
}

bool gzip_is_damaged(const struct gzip *gzip)
{
    return gzip->first.state == INFLATER_DAMAGED || gzip->first.state == INFLATER_BAD_CHECK;
}

bool gzip_has_garbage(const struct gzip *gzip)
{
    return gzip->first.garbage;
}

uint64_t gzip_bytes_unpacked(const struct gzip *gzip)
{
    return gzip->first.out;
}

/* The index -------------------------------------------------------------------------- */

/* All reads are the later pass's then. */
void gzip_use_index(struct gzip *gzip, const struct gzip_index *index)
{
    access_points_free(&gzip->points);
    gzip->points = index->points;
    gzip->first.out = index->data_size;
    gzip->first.garbage = index->garbage;
    gzip->first.state = INFLATER_ENDED;
}

int gzip_make_index(const struct gzip *gzip, unsigned char **bytes, size_t *size,
                    struct qvm_error *err)
{
    struct gzip_index index = {.state = gzip->state,
                               .data_size = gzip->first.out,
                               .end = inflater_position(&gzip->first),
                               .garbage = gzip->first.garbage,
                               .points = gzip->points};

    if (gzip->first.state != INFLATER_ENDED)
        return inflater_fail(&gzip->first, err);
    return gzip_index_encode(&index, gzip->fd, gzip->path, bytes, size, err);
}
