/* Collects the messages of QNX's slogger2, for which libslog2parse calls back once per
 * message. Written from QNX's public documentation of the message's members, and from how
 * public programs call slog2_parse_all(); tested on a fake of it, never run on a QNX
 * system.
 *
 * Messages of other processes, binary data and marks of new buffers are left out. Marks of
 * messages that were overwritten before they were read (SLOG2_TYPE_UNSYNC) are kept, since
 * they are losses. All texts and names are in one block of bytes, and packets refer to it
 * by offset, so that it can grow.
 *
 * Whether sequence numbers are those of a process or of the system is judged by neighbours
 * in time from different processes: if most of them have consecutive numbers, one counter
 * serves both. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE
#endif

#include "host/slog2.h"

#include <stdlib.h>

void slog2_free(struct slog2_log *log)
{
    free(log->packets);
    free(log->buffers);
    free(log->bytes);
    *log = (struct slog2_log){.packets = NULL};
}

#if defined(__QNXNTO__)
#    include <slog2_parse.h>
#    include <string.h>

/* Older headers lack it: their times are those of the day. */
#    ifndef SLOG2_PACKET_FLAGS_MONOTONIC
#        define SLOG2_PACKET_FLAGS_MONOTONIC 0u
#    endif

enum {
    PAIRS_MIN = 8, /* neighbours from which the numbering is judged */
    BUFFERS_MAX = 4096
};

struct reader {
    struct slog2_log *log;
    size_t packet_room, buffer_room, byte_room; /* allocated elements */
    size_t used;                                /* bytes of the log, all arrays together */
    pid_t owner;
    /* The last message of any process, to judge the numbering. */
    uint32_t last_pid;
    uint16_t last_sequence;
    size_t pairs, consecutive;
    struct qvm_error *err;
    int status;
};

/* Returns an array with room for `more` elements than `count`, or NULL: then the old one is
 * still valid. The room doubles. */
static void *make_room(struct reader *reader, void *array, size_t element, size_t count,
                       size_t more, size_t *room)
{
    size_t wanted = *room ? *room : 64;
    void *grown;

    if (more * element > SLOG2_SIZE_MAX - reader->used) {
        qvm_fail(reader->err, QVM_TOO_LARGE, "slog2: more than %u MiB of messages",
                 SLOG2_SIZE_MAX >> 20);
        return NULL;
    }
    reader->used += more * element;
    while (wanted < count + more)
        wanted *= 2;
    if (wanted == *room)
        return array;
    grown = realloc(array, wanted * element);
    if (grown)
        *room = wanted;
    else
        qvm_fail_memory(reader->err, "slog2");
    return grown;
}

/* Appends bytes and a NUL. Sets their place. Returns 0 or -1. */
static int add_bytes(struct reader *reader, const char *bytes, size_t n, size_t *place)
{
    struct slog2_log *log = reader->log;
    char *grown = make_room(reader, log->bytes, 1, log->size, n + 1, &reader->byte_room);

    if (!grown)
        return -1;
    log->bytes = grown;
    *place = log->size;
    memcpy(log->bytes + log->size, bytes, n);
    log->bytes[log->size + n] = '\0';
    log->size += n + 1;
    return 0;
}

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv) over a name and a separator. */
static uint64_t add_hash(uint64_t hash, const char *name, size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        hash ^= i < n ? (unsigned char)name[i] : 0;
        hash *= UINT64_C(0x100000001b3);
    }
    return hash;
}

static bool is_name(const struct slog2_log *log, size_t place, const char *name, size_t n)
{
    return strncmp(log->bytes + place, name, n) == 0 && log->bytes[place + n] == '\0';
}

static int append_buffer(struct reader *reader, const struct slog2_buffer *buffer)
{
    struct slog2_log *log = reader->log;
    struct slog2_buffer *grown;

    if (log->buffer_count >= BUFFERS_MAX)
        return qvm_fail(reader->err, QVM_TOO_LARGE, "slog2: more than %d buffers",
                        BUFFERS_MAX);
    grown = make_room(reader, log->buffers, sizeof *buffer, log->buffer_count, 1,
                      &reader->buffer_room);
    if (!grown)
        return -1;
    log->buffers = grown;
    log->buffers[log->buffer_count++] = *buffer;
    return 0;
}

/* Finds the packet's buffer among the known ones, or adds it. Returns 0 or -1. */
static int find_buffer(struct reader *reader, const slog2_packet_info_t *info,
                       uint32_t *index)
{
    const struct slog2_log *log = reader->log;
    size_t file = strnlen(info->file_name, sizeof info->file_name);
    size_t name = strnlen(info->buffer_name, sizeof info->buffer_name);
    struct slog2_buffer wanted = {.pid = info->owner_pid,
                                  .hash = UINT64_C(0xcbf29ce484222325)};

    wanted.hash = add_hash(wanted.hash, info->file_name, file);
    wanted.hash = add_hash(wanted.hash, info->buffer_name, name);
    for (size_t i = 0; i < log->buffer_count; i++) {
        const struct slog2_buffer *buffer = &log->buffers[i];

        if (buffer->hash == wanted.hash && buffer->pid == wanted.pid &&
            is_name(log, buffer->file, info->file_name, file) &&
            is_name(log, buffer->name, info->buffer_name, name)) {
            *index = (uint32_t)i;
            return 0;
        }
    }
    *index = (uint32_t)log->buffer_count;
    if (add_bytes(reader, info->file_name, file, &wanted.file) != 0 ||
        add_bytes(reader, info->buffer_name, name, &wanted.name) != 0)
        return -1;
    return append_buffer(reader, &wanted);
}

static int append_packet(struct reader *reader, const struct slog2_packet *packet)
{
    struct slog2_log *log = reader->log;
    struct slog2_packet *grown = make_room(reader, log->packets, sizeof *packet, log->count,
                                           1, &reader->packet_room);

    if (!grown)
        return -1;
    log->packets = grown;
    log->packets[log->count++] = *packet;
    return 0;
}

/* Adds a packet and its texts. The payload of a message may end with a NUL or with a line
 * end before its size; neither is guaranteed. */
static int add_packet(struct reader *reader, const slog2_packet_info_t *info,
                      const char *payload)
{
    bool is_loss = info->data_type == SLOG2_TYPE_UNSYNC;
    size_t length = is_loss || !payload ? 0 : strnlen(payload, info->data_size), place;
    struct slog2_packet packet = {
        .time = info->timestamp,
        .sequence = info->sequence_number,
        .tid = info->thread_id,
        .code = info->code,
        .severity = info->severity,
        .is_monotonic = (info->flags & SLOG2_PACKET_FLAGS_MONOTONIC) != 0,
        .is_loss = is_loss,
    };

    if (length > 0 && payload[length - 1] == '\n')
        length--;
    if (find_buffer(reader, info, &packet.buffer) != 0 ||
        add_bytes(reader, payload ? payload : "", length, &place) != 0)
        return -1;
    packet.text = (uint32_t)place;
    packet.size = (uint32_t)length;
    return append_packet(reader, &packet);
}

static void compare_neighbours(struct reader *reader, const slog2_packet_info_t *info)
{
    uint16_t next = (uint16_t)(reader->last_sequence + 1);

    if (reader->last_pid != 0 && reader->last_pid != info->owner_pid) {
        reader->pairs++;
        reader->consecutive += info->sequence_number == next;
    }
    reader->last_pid = info->owner_pid;
    reader->last_sequence = info->sequence_number;
}

/* The callback. A result other than 0 ends the parsing. */
static int take_packet(slog2_packet_info_t *info, void *payload, void *parameter)
{
    struct reader *reader = parameter;

    if (info->data_type == SLOG2_TYPE_ASCII_STRING)
        compare_neighbours(reader, info);
    else if (info->data_type != SLOG2_TYPE_UNSYNC)
        return 0;
    if (reader->owner != 0 && info->owner_pid != (uint32_t)reader->owner)
        return 0;
    reader->status = add_packet(reader, info, payload);
    return reader->status;
}

/* Without flags and directory: all buffers as they are now, merged by time. The live mode
 * (SLOG2_PARSE_FLAGS_DYNAMIC) is not used: it returns only from the callback, so without a
 * message neither a time limit nor Ctrl-C would end it. */
int slog2_read(struct slog2_log *log, pid_t owner, struct qvm_error *err)
{
    struct reader reader = {.log = log, .owner = owner, .err = err};
    slog2_packet_info_t info = SLOG2_PACKET_INFO_INIT;
    int parsed;

    *log = (struct slog2_log){.packets = NULL};
    parsed = slog2_parse_all(0, NULL, NULL, &info, take_packet, &reader);
    if (reader.status != 0)
        return -1;
    if (parsed != 0)
        return qvm_fail(err, QVM_IO,
                        "slog2: the logs cannot be read: does slogger2 run, and may this "
                        "user read /dev/shmem/slogger2?");
    log->is_numbered_system_wide =
        reader.pairs >= PAIRS_MIN && reader.consecutive > reader.pairs / 2;
    return 0;
}

#else
int slog2_read(struct slog2_log *log, pid_t owner, struct qvm_error *err)
{
    (void)owner;
    *log = (struct slog2_log){.packets = NULL};
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "slog2: only QNX has it: give the path of a log, or a function");
}
#endif
