/* A fake of libslog2parse: slog2_parse_all() reports the packets that a test has put, in
 * that order. */
#ifndef QVM_SPEC_SLOG2_FAKE_H
#define QVM_SPEC_SLOG2_FAKE_H

#include <slog2_parse.h>
#include <stddef.h>

struct fake_packet {
    uint32_t owner;
    slog2_packet_data_type_t type;
    size_t size; /* of the payload; 0: that of the text with its NUL */
    const char *text;
    const char *file, *buffer; /* NULL: "qvm" and "log" */
    uint64_t time;
    uint32_t flags;
    uint16_t sequence, tid, code;
    uint8_t severity;
};

/* Removes all packets; the next calls succeed. */
void fake_slog2_clear(void);

/* Adds a packet to the end. Its texts are copied. */
void fake_slog2_put(const struct fake_packet *packet);

/* Sets how often all packets are reported, and the result of slog2_parse_all(). */
void fake_slog2_set(size_t rounds, int result);

/* Number of times that the callback was called since fake_slog2_clear(). */
size_t fake_slog2_calls(void);

#endif
