/* All numbers are little-endian:
 *
 *     bytes   content
 *     8       "qvmindex"
 *     4       version: 1
 *     4       1 if something other than zeros follows the last member, else 0
 *     8       of the gzip file: its size
 *     8       the time of its last change
 *     8       where its last member ends
 *     4       the CRC-32 of its samples, see below
 *     8       of the data: bytes
 *     4       number of points
 *
 * then for each point
 *
 *     8       its offset in the data
 *     8       in the file
 *     4       bits, plus 256 if the window is not zeros and follows
 *     4       the window's size
 *     ...     the window
 *
 * and 4 bytes, the CRC-32 of all that, as a wrong window would give wrong data.
 *
 * The file counts as unchanged if these agree: its size, the time of its last change, and
 * the CRC of three samples of up to 64 KiB: at its beginning, before the end of its last
 * member (with that member's own checksum), and after it.
 *
 * A forged index can at most make reads fail or give wrong data. check_owner() accepts one
 * only from this user or the dump's owner. */
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
    HEAD_SIZE = MAGIC_SIZE + 4 + 4 + 8 + 8 + 8 + 4 + 8 + 4,
    POINT_SIZE = 8 + 8 + 4 + 4,
    CHECK_SIZE = 4,
    SIZE_LIMIT = (ACCESS_POINTS_MAX + 1) * (INFLATER_WINDOW + POINT_SIZE), /* and more */
    VERSION = 1,
    GARBAGE = 1,
    HAS_WINDOW = 0x100, /* flag of a point: its window follows */
    SAMPLE = 64 << 10   /* bytes */
};

static const char MAGIC[MAGIC_SIZE + 1] = "qvmindex";

int gzip_state(int fd, const char *path, struct gzip_state *state, struct qvm_error *err)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return qvm_fail_errno(err, errno, path);
    state->size = (uint64_t)status.st_size;
    state->time = status.st_mtime;
    return 0;
}

/* The CRC-32 of up to `size` bytes at an offset, added to *check. 0, or -1 and errno. */
static int add_sample(int fd, uint64_t offset, size_t size, unsigned char *scratch,
                      uint32_t *check)
{
    ssize_t got = retry_pread(fd, scratch, size, (off_t)offset);

    if (got < 0)
        return -1;
    *check = (uint32_t)crc32(*check, scratch, (uInt)got);
    return 0;
}

/* `end`: the offset after the file's last member. */
static int check_samples(int fd, uint64_t end, const char *path, uint32_t *check,
                         struct qvm_error *err)
{
    size_t before = (size_t)smaller_u64(end, SAMPLE);
    unsigned char *scratch = malloc(SAMPLE);
    int status;

    *check = 0;
    if (!scratch)
        return qvm_fail_memory(err, path);
    status = add_sample(fd, 0, SAMPLE, scratch, check) != 0 ||
                     add_sample(fd, end - before, before, scratch, check) != 0 ||
                     add_sample(fd, end, SAMPLE, scratch, check) != 0
                 ? qvm_fail_errno(err, errno, path)
                 : 0;
    free(scratch);
    return status;
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
    struct gzip_state now = {0};
    uint32_t check;
    unsigned char *to;

    for (size_t i = 0; i < points->count; i++)
        room += points->list[i].window ? points->list[i].window_size : 0;
    if (gzip_state(fd, path, &now, err) != 0 ||
        check_samples(fd, index->end, path, &check, err) != 0)
        return -1;
    if (now.size != index->state.size || now.time != index->state.time)
        return qvm_fail(err, QVM_MALFORMED, "%s: it has changed since it was opened", path);
    *bytes = to = malloc(room);
    if (!to)
        return qvm_fail_memory(err, path);
    memcpy(to, MAGIC, MAGIC_SIZE);
    to = put(to + MAGIC_SIZE, VERSION, 4);
    to = put(to, index->garbage ? GARBAGE : 0, 4);
    to = put(to, now.size, 8);
    to = put(to, (uint64_t)now.time, 8);
    to = put(to, index->end, 8);
    to = put(to, check, 4);
    to = put(to, index->data_size, 8);
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

/* Takes a point, which must lie after the last one in the data. */
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
    if (window_size > INFLATER_WINDOW || point.in == 0 || point.in > index->end ||
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

/* Is it the file that the index is of? */
static int check_file(const struct gzip_index *index, uint32_t samples, int fd,
                      const char *path, struct qvm_error *err)
{
    struct gzip_state now = {0};
    uint32_t check;

    if (index->end > index->state.size || index->state.size > INT64_MAX)
        return fail_malformed(path, err);
    if (gzip_state(fd, path, &now, err) != 0 ||
        check_samples(fd, index->end, path, &check, err) != 0)
        return -1;
    return now.size == index->state.size && now.time == index->state.time &&
                   check == samples
               ? 0
               : fail_malformed(path, err);
}

/* Takes what follows the version, which the checksum has proved to be whole. */
static int take_index(struct input *input, struct gzip_index *index, int fd,
                      const char *path, struct qvm_error *err)
{
    uint32_t samples;
    uint64_t count;

    index->garbage = take(input, 4) & GARBAGE;
    index->state.size = take(input, 8);
    index->state.time = (int64_t)take(input, 8);
    index->end = take(input, 8);
    samples = (uint32_t)take(input, 4);
    index->data_size = take(input, 8);
    count = take(input, 4);
    if (check_file(index, samples, fd, path, err) != 0)
        return -1;
    if (index->data_size > INT64_MAX || count > ACCESS_POINTS_MAX ||
        (count == 0 && index->data_size > 0))
        return fail_malformed(path, err);
    for (; count > 0; count--)
        if (take_point(input, index, path, err) != 0)
            return -1;
    return input->left == 0 ? 0 : fail_malformed(path, err);
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
    if (take(&input, 4) != VERSION)
        return qvm_fail(err, QVM_UNSUPPORTED,
                        "%s: an index of another version of the library", path);
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
    if (of_index.st_uid != of_dump.st_uid && of_index.st_uid != geteuid())
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: belongs to another user than the dump: not used", path);
    if (of_index.st_mode & (S_IWGRP | S_IWOTH))
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: others than its owner may write to it: not used", path);
    return 0;
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
