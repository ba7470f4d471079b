/* Tests csrc/core/host/slog2.c on the fake of libslog2parse. Prints TAP. A pass means that
 * the code is right if the documentation was understood correctly; none of it has run on
 * QNX. */
#define _QNX_SOURCE

#include "host/slog2.h"
#include "message.h"
#include "slog2_fake.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tests, failed;
static struct qvm_error err;
static struct slog2_log logged;

/* Puts packets, numbered from 1 on. */
static void set_packets(const struct fake_packet *packets, size_t count)
{
    fake_slog2_clear();
    for (size_t i = 0; i < count; i++)
        fake_slog2_put(&packets[i]);
}

static void check(bool passed, const char *what)
{
    printf("%sok %d - %s\n", passed ? "" : "not ", ++tests, what);
    if (!passed)
        printf("# %s\n", *message_of(&err) ? message_of(&err) : "no error");
    failed += !passed;
    memset(&err, 0, sizeof err);
    slog2_free(&logged);
}

static bool reads(pid_t owner, size_t count)
{
    slog2_free(&logged);
    return slog2_read(&logged, owner, &err) == 0 && logged.count == count;
}

static bool has_text(size_t i, const char *expected)
{
    const struct slog2_packet *packet = &logged.packets[i];

    return packet->size == strlen(expected) &&
           memcmp(logged.bytes + packet->text, expected, packet->size) == 0;
}

static bool refuses(enum qvm_code code)
{
    return slog2_read(&logged, 0, &err) == -1 && err.code == code;
}

static const struct fake_packet mixed[] = {
    {.owner = 4099, .text = "one", .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 8201, .text = "of another", .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 4099, .text = "two\n", .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 4099, .text = "with no end", .size = 4, .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 4099, .text = "end\0rest", .size = 8, .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 4099, .text = "", .type = SLOG2_TYPE_ASCII_STRING},
    {.owner = 4099, .text = "lost", .type = SLOG2_TYPE_UNSYNC},
    {.owner = 4099, .text = "\1\2", .type = SLOG2_TYPE_BINARY},
    {.owner = 4099, .text = "online", .type = SLOG2_TYPE_ONLINE}};

static void test_text(void)
{
    set_packets(mixed, 3);
    check(reads(0, 3) && has_text(0, "one") && has_text(1, "of another") &&
              has_text(2, "two"),
          "the messages of all processes, without their line ends");
    check(reads(4099, 2) && has_text(0, "one") && has_text(1, "two"),
          "the messages of one process");
    check(reads(12307, 0), "a process that has logged nothing");
    set_packets(mixed + 3, 1);
    check(reads(0, 1) && has_text(0, "with"), "no text is read beyond its size");
    set_packets(mixed + 4, 2);
    check(reads(0, 2) && has_text(0, "end") && has_text(1, ""), "nor beyond its NUL");
    set_packets(mixed, 9);
    check(reads(4099, 6) && !logged.packets[4].is_loss && logged.packets[5].is_loss &&
              has_text(5, ""),
          "losses are kept; other packets without text are left out");
    set_packets(mixed, 0);
    check(reads(0, 0), "no messages");
}

static void test_members(void)
{
    static const char name[] =
        "a-name-of-exactly-64-characters-without-a-NUL-in-the-array-64-64";
    static const struct fake_packet packets[] = {
        {.owner = 4099,
         .text = "x",
         .type = SLOG2_TYPE_ASCII_STRING,
         .file = "qvm.4099",
         .buffer = name,
         .time = UINT64_MAX,
         .sequence = 65535,
         .tid = 65534,
         .code = 65533,
         .severity = 255,
         .flags = SLOG2_PACKET_FLAGS_MONOTONIC},
        {.owner = 4099, .text = "x", .type = SLOG2_TYPE_ASCII_STRING, .file = "qvm.4099"},
        {.owner = 8201,
         .text = "x",
         .type = SLOG2_TYPE_ASCII_STRING,
         .file = "qvm.4099",
         .buffer = name},
        {.owner = 4099,
         .text = "x",
         .type = SLOG2_TYPE_ASCII_STRING,
         .file = "qvm.4099",
         .buffer = name}};
    const struct slog2_packet *packet;

    set_packets(packets, 4);
    check(reads(0, 4), "packets with all members");
    if (!reads(0, 4))
        return;
    packet = &logged.packets[0];
    check(packet->time == UINT64_MAX && packet->sequence == 65535 && packet->tid == 65534 &&
              packet->code == 65533 && packet->severity == 255 && packet->is_monotonic &&
              strlen(name) == 64,
          "keep their largest values");
    check(reads(0, 4) && logged.buffer_count == 3 && logged.packets[3].buffer == 0 &&
              logged.packets[1].buffer == 1 && logged.packets[2].buffer == 2 &&
              strcmp(logged.bytes + logged.buffers[0].file, "qvm.4099") == 0 &&
              strcmp(logged.bytes + logged.buffers[0].name, name) == 0 &&
              logged.buffers[2].pid == 8201,
          "buffers differ by process, file and name");
}

/* Packets of two processes in turn. */
static bool is_system_wide(uint16_t step, size_t count)
{
    struct fake_packet packet = {.text = "x", .type = SLOG2_TYPE_ASCII_STRING};

    fake_slog2_clear();
    for (size_t i = 0; i < count; i++) {
        packet.owner = i % 2 ? 4099 : 8201;
        packet.sequence = (uint16_t)(65530 + (step ? i * step : i / 2));
        fake_slog2_put(&packet);
    }
    return reads(4099, count / 2) && logged.is_numbered_system_wide;
}

static void test_numbering(void)
{
    check(is_system_wide(1, 20), "one counter for all processes");
    check(!is_system_wide(0, 20), "a counter for each process, in step");
    check(!is_system_wide(7, 20), "unrelated numbers");
    check(!is_system_wide(1, 8), "too few messages to judge");
}

static void test_limits(void)
{
    static char line[60001];
    struct fake_packet large = {.owner = 1, .type = SLOG2_TYPE_ASCII_STRING, .text = line};
    char name[16];

    memset(line, 'x', sizeof line - 1);
    set_packets(&large, 1);
    fake_slog2_set(279, 0); /* of 60001 bytes and 32 for each packet */
    check(reads(0, 279) && logged.packets[278].size == 60000, "up to 16 MiB");
    slog2_free(&logged);
    set_packets(&large, 1);
    fake_slog2_set(1000, 0);
    check(refuses(QVM_TOO_LARGE) && fake_slog2_calls() == 280,
          "parsing stops at the first message that does not fit");
    fake_slog2_clear();
    for (int i = 0; i < 4097; i++) {
        snprintf(name, sizeof name, "%d", i);
        fake_slog2_put(&(struct fake_packet){
            .owner = 1, .type = SLOG2_TYPE_ASCII_STRING, .text = "", .buffer = name});
    }
    check(refuses(QVM_TOO_LARGE), "more buffers than any host has");
    fake_slog2_clear();
    fake_slog2_set(1, -1);
    check(refuses(QVM_IO) && strstr(message_of(&err), "does slogger2 run"),
          "logs that cannot be read");
    fake_slog2_clear();
}

int main(void)
{
    printf("# on a fake of libslog2parse, not on QNX\n");
    test_text();
    test_members();
    test_numbering();
    test_limits();
    printf("1..%d\n", tests);
    return failed != 0;
}
