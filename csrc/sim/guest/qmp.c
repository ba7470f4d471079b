/*
 * Collects bytes from the socket until a line is complete, and reads the line with the
 * library's JSON reader. A line is an event, the answer to the last command, or QEMU's
 * greeting; only one command is under way at a time.
 */
#define _GNU_SOURCE
#include "guest/qmp.h"

#include "core/json/json.h"
#include "util/file.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 60 }; /* QEMU may run on a busy machine */

static bool equals(const struct json_token *token, const char *string)
{
    return token->size == strlen(string) && memcmp(token->text, string, token->size) == 0;
}

static bool find(const struct text *line, unsigned depth, const char *key, unsigned number,
                 struct json_token *value)
{
    struct json_reader reader;

    json_init(&reader, line->data ? line->data : "", line->length);
    while (json_next(&reader, value) > JSON_END) {
        if (value->type != JSON_KEY || reader.depth != depth || !equals(value, key))
            continue;
        if (number-- == 0)
            return json_next(&reader, value) > JSON_END;
    }
    return false;
}

bool qmp_string(const struct text *answer, unsigned depth, const char *key, char *string,
                size_t size)
{
    struct json_token token;

    if (!find(answer, depth, key, 0, &token) || token.type != JSON_STRING)
        return false;
    char *whole = malloc(token.size + 1);
    if (!whole)
        return false;
    whole[json_string(&token, whole)] = '\0';
    (void)snprintf(string, size, "%s", whole);
    free(whole);
    return true;
}

bool qmp_integer(const struct text *answer, unsigned depth, const char *key,
                 unsigned number, int64_t *value)
{
    struct json_token token;

    if (!find(answer, depth, key, number, &token) || token.type != JSON_INTEGER)
        return false;
    *value = token.integer;
    return true;
}

/* Moves the first complete line of the input to `line`. */
static bool take_line(struct qmp *qmp, struct text *line)
{
    char *end = qmp->input.length ? memchr(qmp->input.data, '\n', qmp->input.length) : NULL;

    if (!end)
        return false;
    size_t length = (size_t)(end - qmp->input.data) + 1;
    text_free(line);
    text_bytes(line, qmp->input.data, length);
    qmp->input.length -= length;
    memmove(qmp->input.data, end + 1, qmp->input.length);
    return !line->failed;
}

enum outcome { RECEIVED, NOTHING, ENDED };

/* Receives bytes; waits at most `milliseconds` for them. */
static enum outcome receive(struct qmp *qmp, int milliseconds)
{
    struct pollfd ready = {.fd = qmp->fd, .events = POLLIN};
    char bytes[4096];
    int count;

    do
        count = poll(&ready, 1, milliseconds);
    while (count < 0 && errno == EINTR);
    if (count == 0)
        return NOTHING;
    ssize_t got = recv(qmp->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR)
        return NOTHING;
    if (got > 0)
        text_bytes(&qmp->input, bytes, (size_t)got);
    return got > 0 && !qmp->input.failed ? RECEIVED : ENDED;
}

/* Handles a line that is an event. False: it is something else. */
static bool handle_event(const struct qmp *qmp, const struct text *line)
{
    char name[64];
    char reason[64] = "";

    if (!qmp_string(line, 1, "event", name, sizeof name))
        return false;
    (void)qmp_string(line, 2, "reason", reason, sizeof reason);
    qmp->event(qmp->data, name, reason);
    return true;
}

/* Waits for the next line that is no event. */
static bool next_line(struct qmp *qmp, struct text *line)
{
    for (;;) {
        while (take_line(qmp, line)) {
            if (!handle_event(qmp, line))
                return true;
        }
        if (receive(qmp, ANSWER_SECONDS * 1000) != RECEIVED)
            return false;
    }
}

bool qmp_call(struct qmp *qmp, const char *command, struct text *answer)
{
    struct text line = {0};
    struct json_token token;

    qmp->lost = qmp->lost || file_write(qmp->fd, command, strlen(command)) ||
                !next_line(qmp, &line);
    bool good = !qmp->lost && find(&line, 1, "return", 0, &token);
    if (answer) {
        text_free(answer);
        *answer = line;
    } else {
        text_free(&line);
    }
    return good;
}

void qmp_quit(struct qmp *qmp)
{
    static const char command[] = "{\"execute\": \"quit\"}";

    (void)send(qmp->fd, command, sizeof command - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool qmp_open(struct qmp *qmp)
{
    struct text greeting = {0};
    bool good = next_line(qmp, &greeting);

    text_free(&greeting);
    return good && qmp_call(qmp, "{\"execute\": \"qmp_capabilities\"}", NULL);
}

void qmp_close(struct qmp *qmp)
{
    text_free(&qmp->input);
}

bool qmp_serve(struct qmp *qmp)
{
    struct text line = {0};

    qmp->lost = qmp->lost || receive(qmp, 0) == ENDED;
    while (take_line(qmp, &line))
        (void)handle_event(qmp, &line);
    text_free(&line);
    return !qmp->lost;
}
