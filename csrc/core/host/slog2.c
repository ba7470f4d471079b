/* Collects the messages of QNX's slogger2, for which libslog2parse calls back once per
 * message. Written from QNX's public documentation of the message's members, and from how
 * public programs call slog2_parse_all(); tested on a fake of it, never run on a QNX
 * system.
 *
 * Messages of other processes, and messages that are not text (binary data, and marks of
 * messages that were overwritten before they were read), are left out. Each message becomes
 * one line. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE
#endif

#include "host/slog2.h"

#include <stdlib.h>

void slog2_free(struct slog2_text *text)
{
    free(text->bytes);
    *text = (struct slog2_text){NULL, 0};
}

#if defined(__QNXNTO__)
#    include <slog2_parse.h>
#    include <stdint.h>
#    include <string.h>

struct reader {
    struct slog2_text *text;
    size_t capacity;
    pid_t owner;
    struct qvm_error *err;
    int status;
};

/* Makes room for `more` bytes, by doubling. */
static int make_room(struct reader *reader, size_t more)
{
    size_t capacity = reader->capacity ? reader->capacity : 4096;
    char *bytes;

    if (more > SLOG2_SIZE_MAX - reader->text->size)
        return qvm_fail(reader->err, QVM_TOO_LARGE, "slog2: more than %u MiB of text",
                        SLOG2_SIZE_MAX >> 20);
    while (capacity < reader->text->size + more)
        capacity *= 2;
    if (capacity == reader->capacity)
        return 0;
    bytes = realloc(reader->text->bytes, capacity);
    if (!bytes)
        return qvm_fail_memory(reader->err, "slog2");
    reader->text->bytes = bytes;
    reader->capacity = capacity;
    return 0;
}

/* The callback: appends one message. A result other than 0 ends the parsing. The payload
 * may end with a NUL before its size, or with a line end; neither is guaranteed. */
static int add_packet(slog2_packet_info_t *info, void *payload, void *parameter)
{
    struct reader *reader = parameter;
    struct slog2_text *text = reader->text;
    size_t length;

    if (info->data_type != SLOG2_TYPE_ASCII_STRING ||
        (reader->owner != 0 && info->owner_pid != (uint32_t)reader->owner))
        return 0;
    length = strnlen(payload, info->data_size);
    reader->status = make_room(reader, length + 1);
    if (reader->status != 0)
        return -1;
    memcpy(text->bytes + text->size, payload, length);
    text->size += length;
    if (length == 0 || text->bytes[text->size - 1] != '\n')
        text->bytes[text->size++] = '\n';
    return 0;
}

/* Without flags and directory: all buffers as they are now, merged by time. */
int slog2_read(struct slog2_text *text, pid_t owner, struct qvm_error *err)
{
    struct reader reader = {.text = text, .owner = owner, .err = err};
    slog2_packet_info_t info = SLOG2_PACKET_INFO_INIT;
    int parsed;

    *text = (struct slog2_text){NULL, 0};
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
int slog2_read(struct slog2_text *text, pid_t owner, struct qvm_error *err)
{
    (void)owner;
    *text = (struct slog2_text){NULL, 0};
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "slog2: only QNX has it: give the path of a log, or a function");
}
#endif
