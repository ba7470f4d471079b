/* zlib does the unpacking; this file feeds it, and knows what zlib does not:
 *
 * - A gzip file is a sequence of members, and zlib stops after each of them. Zeros may
 *   follow the last one (padding of a medium), and garbage may.
 * - A pass that begins at an access point is inside a member, where zlib reads raw deflate
 *   data (no header, no checksum). At the member's end its trailer is skipped here, and
 *   from the next member on the data is gzip's again.
 * - An access point may be inside a byte, since blocks of deflate are made of bits. The
 *   byte is then read once more, and zlib is given its upper bits (inflatePrime).
 * - Files may hold gigabytes that unpack to nothing (empty members, or blocks). Nobody who
 *   waits for data would get control in between; `overhead` counts such bytes and ends the
 *   call.
 *
 * A pass whose file could not be read can be continued: nothing has been lost.
 *
 * The layout of a file (RFC 1952, section 2.3):
 *
 *     member    1f 8b 08  flags  mtime(4)  xfl  os  [extra] [name] [comment] [crc16]
 *               deflate blocks, bit by bit, the last one marked
 *               CRC-32(4)  size modulo 2^32(4)
 *     file      member  member ...  zeros, or garbage
 *
 * Positions: `in` counts the bytes that were read from the file, so the next byte that zlib
 * takes is at `in` - avail_in. `out` counts the bytes that came out since the beginning of
 * the data, in whichever pass. */
#include "dump/inflate.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes after a member's data: checksum and size (RFC 1952). What is given to zlib at once
 * must fit its counters, of type uInt. */
enum { TRAILER = 8, BUFFER = LIMIT(65536, 512), AT_ONCE = LIMIT(1 << 30, 1 << 10) };

enum { OVERHEAD_MAX = LIMIT(8 << 20, 1 << 10) };

/* zlib's windowBits: raw deflate data, and data with gzip's header and trailer. */
enum { RAW = -15, GZIP = 15 + 16 };

/* Flags in zlib's data_type, after a call by blocks: at the end of a block or of a header,
 * and in the last block of a member. Its lowest three bits are the number of bits of the
 * last byte that were not used. */
enum { AT_BLOCK = 128, IN_LAST = 64 };

/* Lets zlib allocate its window now. It would otherwise do so in the middle of the data,
 * and a stream that gets no memory there cannot be continued. */
static bool reserve_window(z_stream *stream)
{
    static const Bytef any[1];

    return inflateSetDictionary(stream, any, sizeof any) == Z_OK &&
           inflateReset2(stream, GZIP) == Z_OK;
}

/* For raw data at first: only then does zlib take a dictionary before any data, which
 * makes it allocate its window. */
int inflater_init(struct inflater *inflater, int fd, const char *path,
                  struct qvm_error *err)
{
    *inflater = (struct inflater){
        .fd = fd, .path = path, .state = INFLATER_RUNS, .overhead_max = OVERHEAD_MAX};
    inflater->buffer = malloc(BUFFER);
    if (inflater->buffer && inflateInit2(&inflater->stream, RAW) == Z_OK) {
        if (reserve_window(&inflater->stream))
            return 0;
        inflateEnd(&inflater->stream);
    }
    free(inflater->buffer);
    inflater->buffer = NULL;
    return qvm_fail_memory(err, path);
}

void inflater_free(struct inflater *inflater)
{
    if (inflater->buffer)
        inflateEnd(&inflater->stream);
    free(inflater->buffer);
    inflater->buffer = NULL;
}

/* Reads on until there are `want` bytes of input or the file ends. What zlib has not taken
 * moves to the front of the buffer first, so `want` may be anything up to BUFFER. `in`
 * advances with each read that succeeds: after an error the call can be repeated. */
static int fill(struct inflater *inflater, size_t want, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;

    if (stream->avail_in >= want)
        return 0;
    if (stream->avail_in > 0)
        memmove(inflater->buffer, stream->next_in, stream->avail_in);
    stream->next_in = inflater->buffer;
    while (stream->avail_in < want) {
        ssize_t got = pread(inflater->fd, inflater->buffer + stream->avail_in,
                            BUFFER - stream->avail_in, (off_t)inflater->in);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return qvm_fail_errno(err, errno, inflater->path);
        if (got == 0)
            return 0;
        stream->avail_in += (uInt)got;
        inflater->in += (uint64_t)got;
    }
    return 0;
}

/* Takes bytes of input that are not for zlib. */
static void skip(z_stream *stream, size_t n)
{
    stream->next_in += n;
    stream->avail_in -= (uInt)n;
}

/* Ends the data, and looks whether what follows, as far as the buffer holds it, is anything
 * other than the zeros that some media pad a file with (gzip(1) ignores those, too). */
static int check_rest(struct inflater *inflater, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;

    if (fill(inflater, BUFFER, err) != 0)
        return -1;
    inflater->garbage = !bytes_are_zero(stream->next_in, stream->avail_in);
    inflater->ended = false;
    inflater->state = INFLATER_ENDED;
    return 0;
}

/* Goes on after a member's end: skips its trailer if zlib did not, and begins the next
 * member if there is one. A raw pass does not check the trailer. It has not seen the member
 * from its start, so it has no checksum to compare; zlib checks it in the first pass
 * (gzip.c).
 *
 * A member can only be recognised with two bytes after the trailer, so both are asked for
 * before anything is skipped: a failed read leaves the input as it was, and `ended` makes
 * step() come here again. */
static int next_member(struct inflater *inflater, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;
    size_t trailer = inflater->raw ? TRAILER : 0;

    inflater->ended = true; /* until all of this is done, since reading may fail */
    if (fill(inflater, trailer + 2, err) != 0)
        return -1;
    if (stream->avail_in < trailer) {
        inflater->state = INFLATER_CUT;
        return 0;
    }
    if (stream->avail_in < trailer + 2 || stream->next_in[trailer] != 0x1f ||
        stream->next_in[trailer + 1] != 0x8b) {
        skip(stream, trailer);
        inflater->raw = false; /* the trailer is done, if the rest must be read again */
        return check_rest(inflater, err);
    }
    skip(stream, trailer);
    inflater->ended = false;
    inflateReset2(stream, GZIP);
    inflater->raw = false;
    inflater->in_member = false;
    return 0;
}

/* The state is `unpositioned` until this has succeeded: after a failure it must be
 * repeated, and running is not possible. Deflate fills bytes from bit 0 up. Of the byte
 * before `in`, the last block has taken the lower bits, and the upper `bits` of them begin
 * the next block:
 *
 *     byte at in - 1     7 6 5 | 4 3 2 1 0       bits = 3: the value is byte >> 5
 *                        next  | done
 *
 * The window goes in after these bits. zlib accepts a dictionary at any time in raw data.
 */
int inflater_seek(struct inflater *inflater, const struct access_point *point,
                  const unsigned char *window, unsigned size, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;

    stream->avail_in = 0;
    inflater->state = INFLATER_UNPOSITIONED;
    inflater->raw = true;
    inflater->in_member = true;
    inflater->ended = false;
    inflater->in = point->in - (point->bits ? 1 : 0);
    inflater->out = point->out;
    inflateReset2(stream, RAW);
    if (point->bits) {
        if (fill(inflater, 1, err) != 0)
            return -1;
        if (stream->avail_in == 0) {
            inflater->state = INFLATER_CUT;
            return 0;
        }
        inflatePrime(stream, (int)point->bits, stream->next_in[0] >> (8 - point->bits));
        skip(stream, 1);
    }
    inflateSetDictionary(stream, window, size);
    inflater->state = INFLATER_RUNS;
    return 0;
}

/* Tells a wrong checksum or size from other damage. zlib has one code for both, but checks
 * these when it has given all of the data and taken the trailer in. */
static enum inflater_state state_of_damage(const z_stream *stream)
{
    const char *what = stream->msg ? stream->msg : "";

    return strcmp(what, "incorrect data check") == 0 ||
                   strcmp(what, "incorrect length check") == 0
               ? INFLATER_BAD_CHECK
               : INFLATER_DAMAGED;
}

/* Calls zlib once. At the end of the file zlib may still hold data for which there was no
 * room, and blocks of a few bits: the data is cut when it can do nothing more. Z_BUF_ERROR
 * is no error: zlib says that it could not proceed with what it was given. */
static int step(struct inflater *inflater, bool by_blocks, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;
    bool at_end;
    int result;

    if (inflater->ended)
        return next_member(inflater, err);
    if (fill(inflater, 1, err) != 0)
        return -1;
    at_end = stream->avail_in == 0;
    result = inflate(stream, by_blocks ? Z_BLOCK : Z_NO_FLUSH);
    inflater->in_member = true;
    if (result == Z_STREAM_END)
        return next_member(inflater, err);
    if (result == Z_MEM_ERROR)
        return qvm_fail_memory(err, inflater->path);
    if (result != Z_OK && result != Z_BUF_ERROR)
        inflater->state = state_of_damage(stream);
    else if (at_end && result == Z_BUF_ERROR && !(stream->data_type & AT_BLOCK))
        inflater->state = INFLATER_CUT;
    return 0;
}

/* Bytes of the file that zlib has taken in. */
static uint64_t taken_in(const struct inflater *inflater)
{
    return inflater->in - inflater->stream.avail_in;
}

/* Counts what was taken in beyond what came out: compressed data is at most as long as what
 * it unpacks to, headers aside. True if that is too much: the count then begins anew. An
 * encoder can always fall back to stored blocks, which cost 5 bytes for each 65535 (RFC
 * 1951, section 3.2.4), so honest data stays far below the limit. The count never falls
 * below zero: data that unpacks well earns no credit for later waste. */
static bool is_too_much(struct inflater *inflater, uint64_t taken, uint64_t made)
{
    inflater->overhead += taken;
    inflater->overhead -= made < inflater->overhead ? made : inflater->overhead;
    if (inflater->overhead <= inflater->overhead_max)
        return false;
    inflater->overhead = 0;
    return true;
}

/* Each round calls zlib once. What came out is counted before the status is looked at,
 * since one step may give the last bytes of a member and then fail to read the next member.
 * By blocks, the call returns at each place that can be an access point. */
int inflater_run(struct inflater *inflater, unsigned char *to, size_t n, bool by_blocks,
                 size_t *got, struct qvm_error *err)
{
    z_stream *stream = &inflater->stream;
    struct access_point point;
    int status;

    *got = 0;
    while (*got < n && inflater->state == INFLATER_RUNS) {
        size_t room = n - *got < AT_ONCE ? n - *got : AT_ONCE, made;
        uint64_t before = taken_in(inflater);

        stream->next_out = to + *got;
        stream->avail_out = (uInt)room;
        status = step(inflater, by_blocks, err);
        made = room - stream->avail_out;
        *got += made;
        inflater->out += made;
        if (status != 0)
            return -1;
        if (is_too_much(inflater, taken_in(inflater) - before, made))
            return qvm_fail(err, QVM_INCOMPLETE, "%s: not unpacked so far", inflater->path);
        if (by_blocks && inflater_access_point(inflater, &point))
            break;
    }
    return 0;
}

/* The end of the last block of a member is not one: no block follows it there. */
bool inflater_access_point(const struct inflater *inflater, struct access_point *point)
{
    const z_stream *stream = &inflater->stream;

    if (inflater->state != INFLATER_RUNS || !inflater->in_member ||
        (stream->data_type & (AT_BLOCK | IN_LAST)) != AT_BLOCK)
        return false;
    *point = (struct access_point){.out = inflater->out,
                                   .in = inflater_position(inflater),
                                   .bits = (unsigned)stream->data_type & 7};
    return true;
}

/* zlib keeps the window itself. Near the beginning of a member it is shorter than 32 KiB.
 */
unsigned inflater_window(struct inflater *inflater, unsigned char window[INFLATER_WINDOW])
{
    uInt size = 0;

    inflateGetDictionary(&inflater->stream, window, &size);
    return size;
}

uint64_t inflater_position(const struct inflater *inflater)
{
    return inflater->in - inflater->stream.avail_in;
}

int inflater_fail(const struct inflater *inflater, struct qvm_error *err)
{
    uint64_t in = inflater_position(inflater);

    switch (inflater->state) {
    case INFLATER_DAMAGED:
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64 ": damaged gzip data, after %" PRIu64
                        " bytes unpacked: %s",
                        inflater->path, in, inflater->out,
                        inflater->stream.msg ? inflater->stream.msg : "no reason given");
    case INFLATER_BAD_CHECK:
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: offset %" PRIu64
                        ": the checksum of the gzip data is wrong: none of what was read "
                        "can be trusted",
                        inflater->path, in);
    case INFLATER_CUT:
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the gzip data is cut: it ends after %" PRIu64
                        " bytes unpacked",
                        inflater->path, inflater->out);
    default:
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the file has %" PRIu64 " bytes unpacked, not more",
                        inflater->path, inflater->out);
    }
}
