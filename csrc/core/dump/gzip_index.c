/* All numbers are little-endian:
 *
 *     bytes     content
 *     8         "qvmindex"
 *     4, 4      version (1), flags (1: something follows the last member)
 *     8, 8, 4   of the gzip file: its size, where its data ends, the CRC-32 of 64 KiB at
 * the beginning and of 64 KiB before that end 8, 8, 4   bytes of data, spacing of the
 * points, number of points 8, 8, 4, 4 and the window, unless it is zeros, for each point:
 *               offset in the data, offset in the file, bits and flags, window's size
 *     4         CRC-32 of all that
 *
 * The last bytes before the end are the CRC-32 and the size of the data, so a file with the
 * same beginning, end and size has the same data. The index has a checksum of its own, as a
 * wrong window would give wrong data. Whoever can replace the index can replace the dump as
 * well, so no more is done about one that is made on purpose than to stay within bounds. */
#include "dump/gzip_index.h"

#include "util/bytes.h"
#include "util/file_io.h"
#include "util/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAGIC_SIZE = 8,
    HEAD_SIZE = MAGIC_SIZE + 4 + 4 + 8 + 8 + 4 + 8 + 8 + 4,
    POINT_SIZE = 8 + 8 + 4 + 4,
    CHECK_SIZE = 4,
    SIZE_LIMIT = (ACCESS_POINTS_MAX + 1) * (INFLATER_WINDOW + POINT_SIZE), /* and more */
    VERSION = 1,
    GARBAGE = 1,        /* flag of the index */
    HAS_WINDOW = 0x100, /* flag of a point: its window follows */
    SAMPLE = 64 << 10   /* bytes of the gzip file that are compared */
};

static const char MAGIC[MAGIC_SIZE + 1] = "qvmindex";

/* What the index is of. */
struct identity {
    uint64_t size;
    uint32_t check;
};

/* `end`: the offset after the file's last member. */
static int identify(int fd, uint64_t end, const char *path, struct identity *identity,
                    struct qvm_error *err)
{
    uint64_t from = end > SAMPLE ? end - SAMPLE : 0;
    unsigned char *sample = malloc(SAMPLE);
    ssize_t first, last = -1;
    struct stat status;

    *identity = (struct identity){0};
    if (!sample)
        return qvm_fail_memory(err, path);
    first = retry_pread(fd, sample, SAMPLE, 0);
    if (first >= 0) {
        identity->check = (uint32_t)crc32(0, sample, (uInt)first);
        last = retry_pread(fd, sample, (size_t)(end - from), (off_t)from);
    }
    if (last >= 0)
        identity->check = (uint32_t)crc32(identity->check, sample, (uInt)last);
    if (last < 0 || fstat(fd, &status) != 0) {
        qvm_fail_errno(err, errno, path);
        free(sample);
        return -1;
    }
    identity->size = (uint64_t)status.st_size;
    free(sample);
    return 0;
}

/* Writing ---------------------------------------------------------------------------- */

static unsigned char *put(unsigned char *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * i);
    return to + size;
}

static unsigned char *put_point(unsigned char *to, const struct stored_point *stored)
{
    to = put(to, stored->point.out, 8);
    to = put(to, stored->point.in, 8);
    to = put(to, stored->point.bits | (stored->window ? HAS_WINDOW : 0), 4);
    to = put(to, stored->window_size, 4);
    if (!stored->window)
        return to;
    memcpy(to, stored->window, stored->window_size);
    return to + stored->window_size;
}

/* At most ACCESS_POINTS_MAX windows of 32 KiB: no sum overflows. */
int gzip_index_encode(const struct gzip_index *index, int fd, const char *path,
                      unsigned char **bytes, size_t *size, struct qvm_error *err)
{
    const struct access_points *points = &index->points;
    size_t room = HEAD_SIZE + points->count * POINT_SIZE + CHECK_SIZE;
    struct identity identity;
    unsigned char *to;

    for (size_t i = 0; i < points->count; i++)
        room += points->list[i].window ? points->list[i].window_size : 0;
    if (identify(fd, index->end, path, &identity, err) != 0)
        return -1;
    *bytes = to = malloc(room);
    if (!to)
        return qvm_fail_memory(err, path);
    memcpy(to, MAGIC, MAGIC_SIZE);
    to = put(to + MAGIC_SIZE, VERSION, 4);
    to = put(to, index->garbage ? GARBAGE : 0, 4);
    to = put(to, identity.size, 8);
    to = put(to, index->end, 8);
    to = put(to, identity.check, 4);
    to = put(to, index->data_size, 8);
    to = put(to, points->spacing, 8);
    to = put(to, points->count, 4);
    for (size_t i = 0; i < points->count; i++)
        to = put_point(to, &points->list[i]);
    *size = (size_t)(to - *bytes);
    put(to, crc32(0, *bytes, (uInt)*size), CHECK_SIZE);
    *size += CHECK_SIZE;
    return 0;
}

/* Reading ---------------------------------------------------------------------------- */

static int fail_malformed(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_MALFORMED, "%s: damaged, or the index of another file", path);
}

/* What is left of the bytes. */
struct input {
    const unsigned char *at;
    size_t left;
};

static uint64_t take(struct input *input, unsigned size)
{
    uint64_t value = bytes_get(input->at, size, false);

    input->at += size;
    input->left -= size;
    return value;
}

/* Takes a point that must lie after `after` in the data. */
static int take_point(struct input *input, struct gzip_index *index, const char *path,
                      struct qvm_error *err)
{
    static const unsigned char zeros[INFLATER_WINDOW];
    struct access_points *points = &index->points;
    const unsigned char *window = zeros;
    struct access_point point;
    uint64_t flags, window_size;

    if (input->left < POINT_SIZE)
        return fail_malformed(path, err);
    point.out = take(input, 8);
    point.in = take(input, 8);
    flags = take(input, 4);
    window_size = take(input, 4);
    point.bits = flags & 7;
    if (window_size > INFLATER_WINDOW || point.in == 0 || point.in > INT64_MAX ||
        point.out > index->data_size ||
        (points->count > 0 ? point.out <= points->list[points->count - 1].point.out
                           : point.out != 0))
        return fail_malformed(path, err);
    if (flags & HAS_WINDOW) {
        if (input->left < window_size)
            return fail_malformed(path, err);
        window = input->at;
        input->at += window_size;
        input->left -= (size_t)window_size;
    }
    return access_points_add(points, &point, window, (unsigned)window_size) == 0
               ? 0
               : qvm_fail_memory(err, path);
}

/* Takes what the checksum has proved to be whole. */
static int take_index(struct input *input, struct gzip_index *index, int fd,
                      const char *path, struct qvm_error *err)
{
    struct identity identity;
    uint64_t version = take(input, 4), flags = take(input, 4), size = take(input, 8);
    uint64_t check, spacing, count;

    index->end = take(input, 8);
    check = take(input, 4);
    index->data_size = take(input, 8);
    index->garbage = flags & GARBAGE;
    spacing = take(input, 8);
    count = take(input, 4);
    if (index->end > size || size > INT64_MAX)
        return fail_malformed(path, err);
    if (identify(fd, index->end, path, &identity, err) != 0)
        return -1;
    if (version != VERSION || size != identity.size || check != identity.check ||
        index->data_size > INT64_MAX || count > ACCESS_POINTS_MAX)
        return fail_malformed(path, err);
    for (; count > 0; count--)
        if (take_point(input, index, path, err) != 0)
            return -1;
    index->points.spacing = spacing;
    return 0;
}

int gzip_index_decode(struct gzip_index *index, int fd, const char *path,
                      const unsigned char *bytes, size_t size, struct qvm_error *err)
{
    struct input input;

    if (size < MAGIC_SIZE || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: not an index of a compressed dump",
                        path);
    if (size < HEAD_SIZE + CHECK_SIZE || crc32(0, bytes, (uInt)(size - CHECK_SIZE)) !=
                                             bytes_u32(bytes + size - CHECK_SIZE, false))
        return fail_malformed(path, err);
    input = (struct input){bytes + MAGIC_SIZE, size - MAGIC_SIZE - CHECK_SIZE};
    access_points_init(&index->points);
    if (take_index(&input, index, fd, path, err) == 0)
        return 0;
    access_points_free(&index->points);
    return -1;
}

/* In a directory that others can write to, anybody can put a file beside the dump. */
static int check_owner(int index_fd, int fd, const char *path, struct qvm_error *err)
{
    struct stat of_index, of_dump;

    if (fstat(index_fd, &of_index) != 0 || fstat(fd, &of_dump) != 0)
        return qvm_fail_errno(err, errno, path);
    if (of_index.st_uid == of_dump.st_uid || of_index.st_uid == geteuid())
        return 0;
    return qvm_fail(err, QVM_PERMISSION,
                    "%s: belongs to another user than the dump: not used", path);
}

static int read_file(struct gzip_index *index, int index_fd, uint64_t size, int fd,
                     const char *path, struct qvm_error *err)
{
    unsigned char *bytes;
    ssize_t got;
    int status;

    if (check_owner(index_fd, fd, path, err) != 0)
        return -1;
    if (size > SIZE_LIMIT)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: larger than any index", path);
    bytes = malloc((size_t)size + 1); /* of an empty file as well */
    if (!bytes)
        return qvm_fail_memory(err, path);
    got = retry_pread(index_fd, bytes, (size_t)size, 0);
    status = got < 0 ? qvm_fail_errno(err, errno, path)
                     : gzip_index_decode(index, fd, path, bytes, (size_t)got, err);
    free(bytes);
    return status;
}

int gzip_index_read(struct gzip_index *index, int fd, const char *path,
                    struct qvm_error *err)
{
    uint64_t size;
    int index_fd = regular_open_checked(path, &size, err), status;

    if (index_fd < 0)
        return -1;
    status = read_file(index, index_fd, size, fd, path, err);
    close(index_fd);
    return status;
}
