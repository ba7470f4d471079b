/* A gzip file, read at offsets in any order: the bytes must be those that one pass of
 * zlib over the whole file yields, up to a truncation or an error. */
#include "dump/gzip.h"
#include "dump/gzip_index.h"

#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { DATA_MAX = 1 << 18, READ_MAX = 20 << 10, CALLS_MAX = 1 << 16 };

enum ending { WHOLE, CUT, DAMAGED, BAD_CHECK, TOO_LONG };

static unsigned char all[DATA_MAX];

/* Members one after another, as zlib reads them from memory. */
static enum ending inflate_all(const uint8_t *data, size_t size, size_t *length)
{
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    int result = Z_OK;
    enum ending ending = WHOLE;

    *length = 0;
    MUST(inflateInit2(&stream, 15 + 16) == Z_OK);
    stream.next_out = all;
    stream.avail_out = DATA_MAX;
    for (;;) {
        result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END && stream.avail_in >= 2 && stream.next_in[0] == 0x1f &&
            stream.next_in[1] == 0x8b) {
            inflateReset(&stream);
            continue;
        }
        if (result != Z_OK)
            break;
    }
    if (stream.avail_out == 0)
        ending = TOO_LONG;
    else if (result == Z_BUF_ERROR)
        ending = CUT;
    else if (result != Z_STREAM_END)
        ending = stream.msg && strncmp(stream.msg, "incorrect ", 10) == 0 &&
                         strstr(stream.msg, "check")
                     ? BAD_CHECK
                     : DAMAGED;
    *length = DATA_MAX - stream.avail_out;
    inflateEnd(&stream);
    return ending;
}

static int read_on(struct gzip *gzip, uint64_t offset, void *to, size_t n,
                   struct qvm_error *err)
{
    for (int calls = 0; gzip_read(gzip, offset, to, n, err) != 0; calls++) {
        if (err->code != QVM_INCOMPLETE)
            return -1;
        MUST(calls < CALLS_MAX);
    }
    return 0;
}

/* Random offsets, at chunk boundaries and at the end. */
static uint64_t some_offset(uint64_t *random, size_t length)
{
    uint64_t few = fuzz_random(random) % 3;

    switch (fuzz_random(random) % 4) {
    case 0: return length > 2 ? length - few : few;
    case 1: return (fuzz_random(random) % (length / 4096 + 1)) * 4096 + few;
    case 2: return fuzz_random(random) % 16 ? few : fuzz_odd(random, length);
    default: return fuzz_random(random) % (length + 1);
    }
}

static void read_some(struct gzip *gzip, size_t length, enum ending ending, bool lenient,
                      uint64_t random)
{
    static unsigned char bytes[READ_MAX];

    for (int i = 0; i < 12; i++) {
        uint64_t offset = some_offset(&random, length);
        size_t n = 1 + fuzz_random(&random) % (i % 4 ? 64 : READ_MAX);
        bool inside = offset < length && n <= length - offset;
        struct qvm_error *err = fuzz_error();
        int status = read_on(gzip, offset, bytes, n, err);

        if (status != 0) {
            fuzz_failed(err, "gzip");
            MUST(!inside || (ending == BAD_CHECK && !lenient));
            MUST(err->code == QVM_TRUNCATED || ending >= DAMAGED);
        } else
            MUST(inside && memcmp(bytes, all + offset, n) == 0);
    }
}

static void finish(struct gzip *gzip, size_t length, enum ending ending, bool lenient)
{
    struct qvm_error *err = fuzz_error();
    int status;

    for (int calls = 0; (status = gzip_finish(gzip, err)) != 0; calls++) {
        if (err->code != QVM_INCOMPLETE)
            break;
        MUST(calls < CALLS_MAX);
    }
    MUST((status == 0) == (lenient || ending == WHOLE || ending == CUT));
    MUST(gzip_bytes_unpacked(gzip) == length);
    MUST(gzip_is_cut(gzip) == (ending == CUT));
    MUST(gzip_is_damaged(gzip) == (ending >= DAMAGED));
}

static void read_with_index(int fd, size_t length, const unsigned char *bytes, size_t size,
                            bool intact, uint64_t seed)
{
    static unsigned char to[READ_MAX];
    struct qvm_error *err = fuzz_error();
    struct gzip_index index;
    struct gzip *gzip;

    if (gzip_index_decode(&index, fd, "gzip", bytes, size, err) != 0) {
        MUST(!intact);
        return;
    }
    gzip = gzip_new(fd, "gzip", false, err);
    MUST(gzip != NULL);
    gzip_use_index(gzip, &index);
    if (intact)
        read_some(gzip, length, WHOLE, false, seed);
    for (int i = 0; !intact && i < 8; i++)
        read_on(gzip, some_offset(&seed, length), to, 1 + fuzz_random(&seed) % 6000, err);
    gzip_free(gzip);
}

/* The index gives the same bytes. One that was changed on purpose, and has the right
 * checksum, does no harm. */
static void use_index(struct gzip *gzip, int fd, size_t length, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    unsigned char *bytes;
    size_t size;

    MUST(gzip_make_index(gzip, &bytes, &size, err) == 0);
    read_with_index(fd, length, bytes, size, true, seed);
    for (int i = 0; i < 6; i++) {
        size_t n = i % 2 ? size : 4 + fuzz_random(&seed) % (size - 3), check = n - 4;

        for (uint64_t left = fuzz_random(&seed) % 4; left > 0; left--)
            bytes[fuzz_random(&seed) % n] = (unsigned char)fuzz_random(&seed);
        for (uint64_t crc = crc32(0, bytes, (uInt)check), at = 0; at < 4; at++)
            bytes[check + at] = (unsigned char)(crc >> 8 * at);
        read_with_index(fd, length, bytes, n, false, seed);
    }
    free(bytes);
}

static void use(int fd, size_t length, enum ending ending, bool lenient, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    struct gzip *gzip = gzip_new(fd, "gzip", lenient, err);
    uint32_t stated;

    MUST(gzip != NULL);
    read_some(gzip, length, ending, lenient, seed);
    finish(gzip, length, ending, lenient);
    read_some(gzip, length, ending, lenient, seed + 1);
    if (ending == WHOLE)
        use_index(gzip, fd, length, seed + 2);
    MUST(gzip_stated_size(gzip, &stated, err) == 0);
    fuzz_faults(1); /* the first read */
    MUST(gzip_stated_size(gzip, &stated, err) != 0);
    fuzz_faults_end();
    gzip_free(gzip);
}

/* With a failure in the middle, then without: a failed read must not affect later
 * ones. */
static void use_failing(int fd, size_t length, uint64_t seed)
{
    static unsigned char bytes[READ_MAX];
    struct qvm_error *err = fuzz_error();
    struct gzip *gzip;

    fuzz_faults(seed);
    gzip = gzip_new(fd, "gzip", true, err);
    for (int i = 0; gzip && i < 24; i++) {
        uint64_t offset = some_offset(&seed, length);
        size_t n = 1 + fuzz_random(&seed) % 6000;

        if (i == 16)
            fuzz_faults_end();
        if (read_on(gzip, offset, bytes, n, err) == 0)
            MUST(offset < length && n <= length - offset &&
                 memcmp(bytes, all + offset, n) == 0);
        else
            MUST(i < 16 || offset >= length || n > length - offset);
    }
    fuzz_faults_end();
    if (gzip)
        gzip_free(gzip);
}

/* The file is truncated to half its size while it is open. */
static void use_cut(int fd, size_t size, size_t length, uint64_t seed)
{
    static unsigned char bytes[READ_MAX];
    struct qvm_error *err = fuzz_error();
    struct gzip *gzip = gzip_new(fd, "gzip", seed & 1, err);

    MUST(gzip != NULL);
    for (int i = 0; i < 16; i++) {
        uint64_t offset = some_offset(&seed, length);
        size_t n = 1 + fuzz_random(&seed) % 6000;

        if (i == 8)
            fuzz_file_extend(0, fuzz_random(&seed) % size);
        if (read_on(gzip, offset, bytes, n, err) == 0)
            MUST(offset < length && n <= length - offset &&
                 memcmp(bytes, all + offset, n) == 0);
        else
            fuzz_failed(err, "gzip");
    }
    gzip_free(gzip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length;
    enum ending ending = inflate_all(data, size, &length);
    uint64_t seed = fuzz_hash(data, size);
    int fd;

    if (size < 4 || !gzip_is_magic(data) || ending == TOO_LONG)
        return 0;
    fd = open(fuzz_file(0, data, size), O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    use(fd, length, ending, seed & 1, seed);
    for (uint64_t i = seed % 3; i < 2; i++)
        use_failing(fd, length, fuzz_random(&seed));
    if (seed & 1)
        use_cut(fd, size, length, fuzz_random(&seed));
    close(fd);
    return 0;
}

/* Appends compressed bytes to a file of several members. */
static size_t add_member(uint8_t *to, size_t room, const uint8_t *bytes, size_t n,
                         uint64_t *random)
{
    z_stream stream = {.next_in = (Bytef *)bytes, .next_out = to, .avail_out = (uInt)room};
    int level = (int)(fuzz_random(random) % 10), strategy = (int)(fuzz_random(random) % 5);
    int memory = 1 + (int)(fuzz_random(random) % 9), result;
    size_t step = 1 + fuzz_random(random) % (n + 1);

    MUST(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, memory, strategy) == Z_OK);
    for (size_t left = n; left > step; left -= step) {
        stream.avail_in = (uInt)step;
        deflate(&stream, fuzz_random(random) % 2 ? Z_FULL_FLUSH : Z_BLOCK);
    }
    stream.avail_in = (uInt)(bytes + n - stream.next_in);
    result = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return result == Z_STREAM_END ? stream.total_out : 0;
}

/* Repeats some of the data, changed by libFuzzer or unchanged. */
static size_t change(size_t length, size_t most, uint64_t *random)
{
    size_t from = fuzz_random(random) % (length + 1), n = fuzz_random(random) % 70000;

    if (fuzz_random(random) % 2)
        return LLVMFuzzerMutate(all, length, most);
    if (n > DATA_MAX / 2 - length)
        return length;
    for (size_t i = 0; i < n; i++)
        all[length + i] = length ? all[(from + i) % length] : 0;
    return length + n;
}

static size_t recompress(uint8_t *data, size_t size, size_t max, uint64_t *random)
{
    size_t length, part, made, most = 1 << 13;
    enum ending ending = inflate_all(data, size, &length);

    if (ending == TOO_LONG || length > DATA_MAX / 2)
        return 0;
    length = change(length, length > most ? length : most, random);
    part = fuzz_random(random) % 3 ? length : fuzz_random(random) % (length + 1);
    made = add_member(data, max, all, part, random);
    if (part < length && made > 0) {
        size_t more =
            add_member(data + made, max - made, all + part, length - part, random);

        made = more ? made + more : made;
    }
    return made;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t made[1 << 16];
    uint64_t random = seed;
    size_t n = 0;

    if (fuzz_random(&random) % 3 == 0 && size <= sizeof made && max <= sizeof made) {
        memcpy(made, data, size);
        n = recompress(made, size, max, &random);
        if (n > 0)
            memcpy(data, made, n);
    }
    return n > 0 ? n : LLVMFuzzerMutate(data, size, max);
}
