/* A fake of libslog2parse, written from QNX's public documentation of slog2_packet_info_t
 * and of the callback. The names of a packet fill their arrays without a NUL if they are as
 * long: nothing documented excludes that. */
#define _QNX_SOURCE

#include "slog2_fake.h"

#include <stdlib.h>
#include <string.h>

struct stored {
    struct fake_packet about;
    char *payload; /* of exactly its size, so that ASan detects reads beyond its end */
    size_t size;
    char file[2 * SLOG2_PARSE_MAX_NAME_SIZE], buffer[SLOG2_PARSE_MAX_NAME_SIZE];
};

static struct stored *packets;
static size_t count, rounds = 1, calls;
static int result;

void fake_slog2_clear(void)
{
    for (size_t i = 0; i < count; i++)
        free(packets[i].payload);
    free(packets);
    packets = NULL;
    count = calls = 0;
    fake_slog2_set(1, 0);
}

static void fill(char *array, size_t size, const char *name)
{
    size_t n = strlen(name);

    memset(array, 0, size);
    memcpy(array, name, n < size ? n : size);
}

void fake_slog2_put(const struct fake_packet *packet)
{
    struct stored *grown = realloc(packets, (count + 1) * sizeof *packets), *stored;

    if (!grown)
        abort();
    packets = grown;
    stored = &packets[count++];
    stored->about = *packet;
    stored->size = packet->size ? packet->size : strlen(packet->text) + 1;
    stored->payload = malloc(stored->size);
    if (!stored->payload)
        abort();
    memcpy(stored->payload, packet->text, stored->size);
    fill(stored->file, sizeof stored->file, packet->file ? packet->file : "qvm");
    fill(stored->buffer, sizeof stored->buffer, packet->buffer ? packet->buffer : "log");
}

void fake_slog2_set(size_t new_rounds, int new_result)
{
    rounds = new_rounds;
    result = new_result;
}

size_t fake_slog2_calls(void)
{
    return calls;
}

static void describe(slog2_packet_info_t *info, const struct stored *stored)
{
    const struct fake_packet *packet = &stored->about;

    info->sequence_number = packet->sequence;
    info->data_size = (uint16_t)stored->size;
    info->timestamp = packet->time;
    info->data_type = packet->type;
    info->thread_id = packet->tid;
    info->code = packet->code;
    info->severity = packet->severity;
    info->owner_pid = packet->owner;
    info->flags = packet->flags;
    memcpy(info->file_name, stored->file, sizeof info->file_name);
    memcpy(info->buffer_name, stored->buffer, sizeof info->buffer_name);
}

/* Reports each packet until the callback returns something other than 0. Only what the core
 * uses: all buffers as they are, of the running logger. */
int slog2_parse_all(uint32_t flags, char *directory_path, char *match_list,
                    slog2_packet_info_t *packet_info, slog2_packet_callback callback,
                    void *param)
{
    if (flags != 0 || directory_path || match_list ||
        packet_info->size != sizeof *packet_info)
        return -1;
    for (size_t i = 0; i < count * rounds && result == 0; i++) {
        const struct stored *stored = &packets[i % count];

        describe(packet_info, stored);
        calls++;
        if (callback(packet_info, stored->payload, param) != 0)
            return -1;
    }
    return result;
}
