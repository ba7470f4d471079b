/* A file is read by pread(), or unpacked (gzip.c). Single values of a guest's memory are
 * read again and again from few pages: they go through a cache of pages (page_cache.c).
 * Headers, notes and large ranges are read once, and go past it.
 *
 * The size of a compressed file is SIZE_UNKNOWN until it is known: a bound, so that the
 * same checks hold. */
#include "dump/image_file.h"

#include "dump/gzip.h"
#include "dump/gzip_index.h"
#include "util/file_io.h"
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_UNKNOWN ((uint64_t)INT64_MAX)

/* Unpacks to the end. */
static int unpack_to_end(struct image_file *file, struct qvm_error *err)
{
    if (gzip_finish(file->gzip, err) != 0)
        return -1;
    file->size = gzip_bytes_unpacked(file->gzip);
    file->cut = gzip_is_cut(file->gzip);
    file->damaged = gzip_is_damaged(file->gzip);
    file->garbage = gzip_has_garbage(file->gzip);
    return 0;
}

/* Unpacks the first bytes. Data with fewer than an ELF header has is finished at once, so
 * that its size is known and it can be told from a dump. */
int image_file_detect_gzip(struct image_file *file, struct qvm_error *err)
{
    unsigned char head[64];

    if (!file->gzip || file->size != SIZE_UNKNOWN)
        return 0;
    if (gzip_read(file->gzip, 0, head, sizeof head, err) == 0)
        return 0;
    return err->code == QVM_TRUNCATED ? unpack_to_end(file, err) : -1;
}

/* Begins with a compressed file, if it is one. */
static int open_content(struct image_file *file, struct qvm_error *err)
{
    unsigned char head[4] = {0};

    if (file->size >= sizeof head && image_file_read(file, 0, head, sizeof head, err) != 0)
        return -1;
    if (!gzip_is_magic(head))
        return 0;
    file->gzip = gzip_new(file->fd, file->path, file->lenient, err);
    file->size = SIZE_UNKNOWN;
    return file->gzip ? 0 : -1;
}

/* Makes a file of a descriptor, which is closed on failure. */
static int init_from_fd(struct image_file *file, int fd, uint64_t size, const char *path,
                        bool lenient, struct qvm_error *err)
{
    *file = (struct image_file){.fd = fd, .size = size, .lenient = lenient, .path = path};
    if (open_content(file, err) != 0) {
        image_file_close(file);
        return -1;
    }
    file->cache = malloc(sizeof *file->cache);
    if (file->cache)
        page_cache_init(file->cache, file->gzip ? CACHE_PAGES / 8 : CACHE_PAGES);
    return 0;
}

int image_file_open(struct image_file *file, const char *path, bool lenient,
                    struct qvm_error *err)
{
    uint64_t size;
    int fd = regular_open(path, &size, err);

    return fd < 0 ? -1 : init_from_fd(file, fd, size, path, lenient, err);
}

/* Copies the descriptor: the caller may close its own at any time. */
int image_file_open_fd(struct image_file *file, int fd, const char *path, bool lenient,
                       struct qvm_error *err)
{
    struct stat status;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        return qvm_fail_errno(err, errno, path);
    if (fstat(copy, &status) == 0)
        return init_from_fd(file, copy, (uint64_t)status.st_size, path, lenient, err);
    qvm_fail_errno(err, errno, path);
    close(copy);
    return -1;
}

/* A compressed file states its size, modulo 2^32, in its last bytes. If that is what its
 * headers promise, it need not be unpacked to its end: a size that is wrong after all shows
 * when somebody reads there. A lenient reader must learn what is wrong with the file. */
int image_file_resolve_size(struct image_file *file, uint64_t expected,
                            uint64_t or_expected, struct qvm_error *err)
{
    uint64_t most;
    uint32_t stated;

    if (!file->gzip || file->size != SIZE_UNKNOWN)
        return 0;
    if (gzip_stated_size(file->gzip, &stated, err) != 0)
        return -1;
    if (file->lenient)
        return unpack_to_end(file, err);
    most = gzip_size_max(file->gzip);
    if (stated == (uint32_t)expected && expected <= most)
        file->size = expected;
    else if (stated == (uint32_t)or_expected && or_expected <= most)
        file->size = or_expected;
    else
        return unpack_to_end(file, err);
    return 0;
}

bool image_file_size_is_certain(const struct image_file *file)
{
    return !file->gzip || gzip_bytes_unpacked(file->gzip) >= file->size;
}

int image_file_use_index(struct image_file *file, const char *index_path,
                         struct qvm_error *err)
{
    struct gzip_index index;

    if (!file->gzip || file->lenient)
        return 0;
    if (gzip_index_read(&index, file->fd, index_path, err) != 0)
        return -1;
    gzip_use_index(file->gzip, &index);
    file->size = gzip_bytes_unpacked(file->gzip);
    file->garbage = gzip_has_garbage(file->gzip);
    return 1;
}

int image_file_make_index(struct image_file *file, unsigned char **bytes, size_t *size,
                          struct qvm_error *err)
{
    *bytes = NULL;
    if (!file->gzip || file->lenient)
        return 0;
    if (gzip_finish(file->gzip, err) != 0)
        return -1;
    return gzip_make_index(file->gzip, bytes, size, err);
}

uint64_t image_file_bytes_unpacked(const struct image_file *file)
{
    return file->gzip ? gzip_bytes_unpacked(file->gzip) : file->size;
}

void image_file_close(struct image_file *file)
{
    if (file->gzip)
        gzip_free(file->gzip);
    file->gzip = NULL;
    if (file->cache)
        page_cache_free(file->cache);
    free(file->cache);
    file->cache = NULL;
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static int fail_truncated(const struct image_file *file, uint64_t offset, uint64_t n,
                          struct qvm_error *err)
{
    return qvm_fail(err, QVM_TRUNCATED,
                    "%s: no %" PRIu64 " bytes at offset %" PRIu64 ": file too short",
                    file->path, n, offset);
}

static int read_at(const struct image_file *file, uint64_t offset, void *to, size_t n,
                   struct qvm_error *err)
{
    ssize_t got = retry_pread(file->fd, to, n, (off_t)offset);

    if (got < 0)
        return qvm_fail_errno(err, errno, file->path);
    if ((size_t)got < n) /* the file was cut */
        return fail_truncated(file, offset + (uint64_t)got, n - (uint64_t)got, err);
    return 0;
}

/* No sum: offset + n could wrap. A compressed file of unknown size passes here, and
 * gzip_read() fails where the data ends. */
int image_file_check(const struct image_file *file, uint64_t offset, uint64_t n,
                     struct qvm_error *err)
{
    if (offset > file->size || n > file->size - offset)
        return fail_truncated(file, offset, n, err);
    return 0;
}

int image_file_read(const struct image_file *file, uint64_t offset, void *to, size_t n,
                    struct qvm_error *err)
{
    if (image_file_check(file, offset, n, err) != 0)
        return -1;
    return file->gzip ? gzip_read(file->gzip, offset, to, n, err)
                      : read_at(file, offset, to, n, err);
}

static int read_page(const void *file, uint64_t offset, void *to, size_t n,
                     struct qvm_error *err)
{
    return image_file_read(file, offset, to, n, err);
}

/* A wrong checksum also spoils what is in the cache already. */
static bool is_cached(const struct image_file *file, size_t n)
{
    return file->cache && n <= CACHE_PAGE &&
           !(file->gzip && !file->lenient && gzip_is_damaged(file->gzip));
}

int image_file_read_cached(const struct image_file *file, uint64_t offset, void *to,
                           size_t n, struct qvm_error *err)
{
    if (!is_cached(file, n))
        return image_file_read(file, offset, to, n, err);
    if (image_file_check(file, offset, n, err) != 0)
        return -1;
    return page_cache_read(file->cache, read_page, file, file->size, offset, to, n, err);
}
