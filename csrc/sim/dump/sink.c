/*
 * Writes the bytes of a dump through one buffer. To a file, zeros become holes. With sim-
 * dump-seconds the dump is written in 40 steps, and each waits until it is due; the file
 * grows step by step, as under a real qvm.
 */
#define _GNU_SOURCE
#include "dump/sink.h"

#include "util/file.h"
#include "util/signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_SIZE = 256 << 10, STEPS = 40 };

static uint64_t end_of_step(const struct sink *sink, unsigned step)
{
    return step < STEPS ? sink->total / STEPS * (step + 1) : UINT64_MAX;
}

void sink_open(struct sink *sink, int fd, bool sparse, uint64_t total, double seconds)
{
    *sink = (struct sink){.fd = fd, .sparse = sparse, .total = total, .seconds = seconds};
    sink->started = signals_clock();
    sink->step_end = seconds > 0 ? end_of_step(sink, 0) : UINT64_MAX;
    sink->buffer = malloc(BUFFER_SIZE);
    sink->error = sink->buffer ? 0 : ENOMEM;
}

/* Writes the buffer at its offset in the file, which may be after a hole. */
static int write_at(const struct sink *sink)
{
    size_t done = 0;

    while (done < sink->filled) {
        off_t offset = (off_t)(sink->position - sink->filled + done);
        ssize_t written =
            pwrite(sink->fd, sink->buffer + done, sink->filled - done, offset);
        if (written < 0 && errno != EINTR)
            return -1;
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static void flush(struct sink *sink)
{
    if (!sink->error && signals_quit())
        sink->error = ECANCELED;
    if (sink->error || sink->filled == 0)
        return;
    if (sink->sparse ? write_at(sink) : file_write(sink->fd, sink->buffer, sink->filled))
        sink->error = errno;
    sink->filled = 0;
}

/* At the end of a step: makes everything so far visible in the file, and waits until the
   next step is due. */
static void pace(struct sink *sink)
{
    flush(sink);
    if (!sink->error && sink->sparse && ftruncate(sink->fd, (off_t)sink->position))
        sink->error = errno;
    sink->step++;
    sink->step_end = end_of_step(sink, sink->step);
    double due = sink->started + sink->seconds * sink->step / STEPS;
    if (!sink->error && !signals_sleep_until(due))
        sink->error = ECANCELED;
}

static void advance(struct sink *sink, uint64_t count)
{
    sink->position += count;
    if (sink->position == sink->step_end)
        pace(sink);
}

static uint64_t within_step(const struct sink *sink, uint64_t count)
{
    uint64_t left = sink->step_end - sink->position;

    return count < left ? count : left;
}

/* Takes `count` bytes, or zeros if `bytes` is NULL, through the buffer. */
static void fill(struct sink *sink, const unsigned char *bytes, uint64_t count)
{
    while (count > 0 && !sink->error) {
        uint64_t room = BUFFER_SIZE - sink->filled;
        size_t part = (size_t)within_step(sink, count < room ? count : room);
        if (bytes) {
            memcpy(sink->buffer + sink->filled, bytes, part);
            bytes += part;
        } else {
            memset(sink->buffer + sink->filled, 0, part);
        }
        sink->filled += part;
        count -= part;
        advance(sink, part);
        if (sink->filled == BUFFER_SIZE)
            flush(sink);
    }
}

void sink_bytes(struct sink *sink, const void *bytes, size_t count)
{
    fill(sink, bytes, count);
}

void sink_zeros(struct sink *sink, uint64_t count)
{
    if (!sink->sparse) {
        fill(sink, NULL, count);
        return;
    }
    flush(sink);
    while (count > 0 && !sink->error) {
        uint64_t part = within_step(sink, count);
        count -= part;
        advance(sink, part);
    }
}

int sink_close(struct sink *sink)
{
    flush(sink);
    free(sink->buffer);
    sink->buffer = NULL;
    return sink->error;
}

unsigned char *put_u8(unsigned char *at, unsigned value)
{
    *at = (unsigned char)(value & 0xff);
    return at + 1;
}

unsigned char *put_u16(unsigned char *at, unsigned value)
{
    return put_u8(put_u8(at, value), value >> 8);
}

unsigned char *put_u32(unsigned char *at, uint32_t value)
{
    return put_u16(put_u16(at, value & 0xffff), value >> 16);
}

unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    return put_u32(put_u32(at, (uint32_t)(value & 0xffffffff)), (uint32_t)(value >> 32));
}
