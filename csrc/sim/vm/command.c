/*
 * Reads standard input without blocking, splits it into lines, and passes each command to
 * the server. In the background of a terminal it reads nothing: that input is for another
 * process.
 */
#define _GNU_SOURCE
#include "vm/command.h"

#include "util/file.h"
#include "util/signals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *word;
    bool (*serve)(struct server *server);
};

/* server_run() acknowledges it, once the VM is gone. A guest shuts down in its own time. */
static bool shut_down(struct server *server)
{
    server->done = server->done || !server_power_button(server);
    server->announce = true;
    return false;
}

static const struct command commands[] = {
    {"suspend", server_suspend},
    {"resume", server_resume},
    {"hang", server_hang},
    {"status", server_status},
    {"dump", server_dump},
    {"shutdown", shut_down},
    {"reboot", server_reboot},
    {"hang-open", server_hang_open},
    {"hang-close", server_hang_close},
    {"trickle", server_trickle},
    {"opens", server_opens},
};

void command_open(struct command_input *input)
{
    *input = (struct command_input){0};
}

/* Whether another process is in the foreground of the terminal. Reading would take the
   input of that process, or stop this one. */
static bool in_background(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);

    return foreground >= 0 && foreground != getpgrp();
}

int command_fd(const struct command_input *input)
{
    return input->ended || in_background() ? -1 : STDIN_FILENO;
}

int command_timeout(const struct command_input *input)
{
    return !input->ended && in_background() ? 500 : -1;
}

static void answer(const char *outcome, const char *word)
{
    char line[160];
    int length = snprintf(line, sizeof line, "%s %s\n", outcome, word);

    (void)file_write(STDOUT_FILENO, line, (size_t)length);
}

void command_acknowledge(const char *word)
{
    answer("ok", word);
}

static void obey(struct server *server, const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(word, commands[i].word) == 0) {
            if (commands[i].serve(server))
                command_acknowledge(word);
            else if (!server->done)
                answer("failed", word);
            return;
        }
    }
    logger_line(&server->conf->logger, LEVEL_WARN,
                "unknown command '%s': --help lists them", word);
    answer("failed", word);
}

static void end_line(struct command_input *input, struct server *server)
{
    char *word = input->line;

    while (input->length > 0 && strchr(" \t\r", input->line[input->length - 1]))
        input->length--;
    input->line[input->length] = '\0';
    word += strspn(word, " \t");
    if (input->overlong)
        logger_line(&server->conf->logger, LEVEL_WARN, "overlong command ignored");
    else if (*word)
        obey(server, word);
    input->length = 0;
    input->overlong = false;
}

static void take(struct command_input *input, struct server *server, char c)
{
    if (c == '\n')
        end_line(input, server);
    else if (input->length + 1 < sizeof input->line)
        input->line[input->length++] = c;
    else
        input->overlong = true;
}

void command_read(struct command_input *input, struct server *server)
{
    char bytes[256];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);

    if (got < 0 && (errno == EINTR || errno == EAGAIN || in_background()))
        return;
    if (got <= 0) {
        input->ended = true;
        end_line(input, server);
        return;
    }
    for (ssize_t i = 0; i < got && !server->done && !signals_quit(); i++)
        take(input, server, bytes[i]);
}
