/* Tests csrc/core/host/slog2.c on the fake of libslog2parse below. Prints TAP. A pass
 * means that the code is right if the documentation was understood correctly; none of it
 * has run on QNX. */
#define _QNX_SOURCE

#include "host/slog2.h"
#include "message.h"

#include <slog2_parse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct packet {
    uint32_t owner;
    slog2_packet_data_type_t type;
    size_t size; /* 0: that of the text with its NUL */
    const char *text;
};

/* The messages that the fake reports, how often it repeats them, and its result. */
static const struct packet *packets;
static size_t packet_count, rounds;
static int answer, calls;
static int tests, failed;
static struct qvm_error err;

/* The fake: reports each message until the callback returns something other than 0. */
int slog2_parse_all(uint32_t flags, char *directory_path, char *match_list,
                    slog2_packet_info_t *packet_info, slog2_packet_callback callback,
                    void *param)
{
    if (flags != 0 || directory_path || match_list ||
        packet_info->size != sizeof *packet_info)
        return -1;
    for (size_t i = 0; i < packet_count * rounds; i++) {
        const struct packet *packet = &packets[i % packet_count];
        size_t size = packet->size ? packet->size : strlen(packet->text) + 1;
        char *copy = malloc(size); /* ASan detects reads beyond its end */

        if (!copy)
            abort();
        memcpy(copy, packet->text, size);
        packet_info->owner_pid = packet->owner;
        packet_info->data_type = packet->type;
        packet_info->data_size = (uint16_t)size;
        calls++;
        answer = callback(packet_info, copy, param) == 0 ? answer : -1;
        free(copy);
        if (answer != 0)
            break;
    }
    return answer;
}

static void set_packets(const struct packet *all, size_t count)
{
    packets = all;
    packet_count = count;
    rounds = 1;
    answer = calls = 0;
}

static void check(bool passed, const char *what)
{
    printf("%sok %d - %s\n", passed ? "" : "not ", ++tests, what);
    if (!passed)
        printf("# %s\n", *message_of(&err) ? message_of(&err) : "no error");
    failed += !passed;
    memset(&err, 0, sizeof err);
}

static bool reads(pid_t owner, const char *expected)
{
    struct slog2_text text = {NULL, 0};
    bool same = slog2_read(&text, owner, &err) == 0 && text.size == strlen(expected) &&
                (text.size == 0 || memcmp(text.bytes, expected, text.size) == 0);

    slog2_free(&text);
    return same;
}

static bool refuses(enum qvm_code code)
{
    struct slog2_text text = {NULL, 0};
    bool refused = slog2_read(&text, 0, &err) == -1 && err.code == code;

    slog2_free(&text);
    return refused;
}

static void test_text(void)
{
    static const struct packet mixed[] = {{4099, SLOG2_TYPE_ASCII_STRING, 0, "one"},
                                          {8201, SLOG2_TYPE_ASCII_STRING, 0, "of another"},
                                          {4099, SLOG2_TYPE_ASCII_STRING, 0, "two\n"},
                                          {4099, SLOG2_TYPE_ASCII_STRING, 4, "with no end"},
                                          {4099, SLOG2_TYPE_ASCII_STRING, 8, "end\0rest"},
                                          {4099, SLOG2_TYPE_ASCII_STRING, 0, ""},
                                          {4099, SLOG2_TYPE_UNSYNC, 0, "lost"},
                                          {4099, SLOG2_TYPE_BINARY, 0, "\1\2"},
                                          {4099, SLOG2_TYPE_ONLINE, 0, "online"}};

    set_packets(mixed, 3);
    check(reads(0, "one\nof another\ntwo\n"),
          "the messages of all processes, one per line");
    set_packets(mixed, 3);
    check(reads(4099, "one\ntwo\n"), "the messages of one process");
    set_packets(mixed, 3);
    check(reads(12307, ""), "a process that has logged nothing");
    set_packets(mixed + 3, 1);
    check(reads(0, "with\n"), "no text is read beyond its size");
    set_packets(mixed + 4, 2);
    check(reads(0, "end\n\n"), "nor beyond its NUL; an empty message is an empty line");
    set_packets(mixed, 9);
    check(reads(4099, "one\ntwo\nwith\nend\n\n"),
          "messages that are not text are left out");
    set_packets(mixed, 0);
    check(reads(0, ""), "no messages");
}

static void test_limits(void)
{
    static char line[60001];
    static const struct packet large[] = {{1, SLOG2_TYPE_ASCII_STRING, 0, line}};
    struct slog2_text text;

    memset(line, 'x', sizeof line - 1);
    set_packets(large, 1);
    rounds = 279; /* of 60001 bytes: as many as there is room for */
    check(slog2_read(&text, 0, &err) == 0 && text.size == 279 * sizeof line &&
              text.bytes[sizeof line - 1] == '\n',
          "up to 16 MiB");
    slog2_free(&text);
    slog2_free(&text);
    set_packets(large, 1);
    rounds = 1000;
    check(refuses(QVM_TOO_LARGE) && calls == 280,
          "parsing stops at the first message that does not fit");
    set_packets(large, 0);
    answer = -1;
    check(refuses(QVM_IO) && strstr(message_of(&err), "does slogger2 run"),
          "logs that cannot be read");
}

int main(void)
{
    printf("# on a fake of libslog2parse, not on QNX\n");
    test_text();
    test_limits();
    printf("1..%d\n", tests);
    return failed != 0;
}
