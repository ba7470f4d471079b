/* Written from QNX's public documentation of libslog2parse, and of slog2_parse_all() from
 * how public programs for QNX call it; run on a fake of it, never on a QNX system. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE
#endif

#include "host/slog2.h"

#include <stdlib.h>

void slog2_free(struct slog2_text *logs)
{
    free(logs->bytes);
    *logs = (struct slog2_text){NULL, 0};
}

#if defined(__QNXNTO__)
#    include <slog2_parse.h>
#    include <stdint.h>
#    include <string.h>

struct reader {
    struct slog2_text *logs;
    size_t capacity;
    pid_t owner;
    struct qvm_error *err;
    int status;
};

static int make_room(struct reader *reader, size_t more)
{
    size_t capacity = reader->capacity ? reader->capacity : 4096;
    char *bytes;

    if (more > SLOG2_SIZE_MAX - reader->logs->size)
        return qvm_fail(reader->err, QVM_TOO_LARGE, "slog2: more than %u MiB of text",
                        SLOG2_SIZE_MAX >> 20);
    while (capacity < reader->logs->size + more)
        capacity *= 2;
    if (capacity == reader->capacity)
        return 0;
    bytes = realloc(reader->logs->bytes, capacity);
    if (!bytes)
        return qvm_fail_memory(reader->err, "slog2");
    reader->logs->bytes = bytes;
    reader->capacity = capacity;
    return 0;
}

/* One message; what is not 0 ends the parsing. Whether its text ends in NUL within its
 * size, or in a line end, is up to who logged it. */
static int add_packet(slog2_packet_info_t *info, void *payload, void *parameter)
{
    struct reader *reader = parameter;
    struct slog2_text *logs = reader->logs;
    size_t length;

    if (info->data_type != SLOG2_TYPE_ASCII_STRING ||
        (reader->owner != 0 && info->owner_pid != (uint32_t)reader->owner))
        return 0;
    length = strnlen(payload, info->data_size);
    reader->status = make_room(reader, length + 1);
    if (reader->status != 0)
        return -1;
    memcpy(logs->bytes + logs->size, payload, length);
    logs->size += length;
    if (length == 0 || logs->bytes[logs->size - 1] != '\n')
        logs->bytes[logs->size++] = '\n';
    return 0;
}

/* No flags and no directory: the buffers as they are now, merged by time. */
int slog2_read(struct slog2_text *logs, pid_t owner, struct qvm_error *err)
{
    struct reader reader = {.logs = logs, .owner = owner, .err = err};
    slog2_packet_info_t info = SLOG2_PACKET_INFO_INIT;
    int parsed;

    *logs = (struct slog2_text){NULL, 0};
    parsed = slog2_parse_all(0, NULL, NULL, &info, add_packet, &reader);
    if (reader.status != 0)
        return -1;
    if (parsed != 0)
        return qvm_fail(err, QVM_IO,
                        "slog2: the logs cannot be read: does slogger2 run, and may this "
                        "user read /dev/shmem/slogger2?");
    return 0;
}

#else
int slog2_read(struct slog2_text *logs, pid_t owner, struct qvm_error *err)
{
    (void)owner;
    *logs = (struct slog2_text){NULL, 0};
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "slog2: only QNX has it: give the path of a log, or a function");
}
#endif
