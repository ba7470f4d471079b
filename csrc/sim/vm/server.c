/*
 * The main loop: waits for signals and commands, and serves them one at a time. Also
 * starts the VM and shuts it down.
 */
#define _GNU_SOURCE
#include "vm/server.h"

#include "dump/dump.h"
#include "guest/qemu.h"
#include "util/file.h"
#include "util/signals.h"
#include "vm/command.h"
#include "vm/env.h"
#include "vm/report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GUEST_PERIOD = 1000 }; /* milliseconds from one env of a running guest to the next */

static bool failed(const struct server *server, const char *what)
{
    logger_line(&server->conf->logger, LEVEL_ERROR, "%s: %s", what, strerror(errno));
    return false;
}

/* True, with a log line, if the VM hangs. */
static bool refuses(const struct server *server, const char *what)
{
    if (server->hung)
        logger_line(&server->conf->logger, LEVEL_WARN, "%s: not while the VM hangs", what);
    return server->hung;
}

static bool publish_env(struct server *server)
{
    struct text env = {0};

    vm_sample(&server->vm);
    env_compose(&server->vm, &env);
    bool good = node_replace(&server->node, &env) == 0;
    if (!good)
        (void)failed(server, "env");
    text_free(&env);
    return good;
}

bool server_status(struct server *server)
{
    const struct logger *logger = &server->conf->logger;
    struct text report = {0};

    if (refuses(server, "status"))
        return false;
    server->vm.statuses++;
    vm_sample(&server->vm);
    report_compose(&server->vm, "status", server->vm.statuses, false, &report);
    if (report.failed) {
        errno = ENOMEM;
        (void)failed(server, "status");
    } else {
        logger_text(logger, LEVEL_INFO, &report);
    }
    bool good = !report.failed;
    text_free(&report);
    return good;
}

bool server_dump(struct server *server)
{
    struct qemu *qemu = server->vm.qemu;

    if (refuses(server, "dump") || (qemu && !qemu_pause(qemu)))
        return false;
    bool good = dump_take(&server->vm);
    if (qemu)
        qemu_continue(qemu);
    return good;
}

bool server_suspend(struct server *server)
{
    if (refuses(server, "suspend"))
        return false;
    if (server->vm.qemu) {
        logger_line(&server->conf->logger, LEVEL_WARN,
                    "suspend: not from here: QEMU's guest suspends itself");
        return false;
    }
    server->vm.suspended = true;
    if (publish_env(server))
        return true;
    server->vm.suspended = false;
    return false;
}

static bool hang(struct server *server, enum node_hang where, const char *what)
{
    if ((!server->hung || server->node.served) && node_block(&server->node, where))
        return failed(server, what);
    server->hung = true;
    return true;
}

bool server_hang(struct server *server)
{
    return hang(server, NODE_HANGS_READ, "hang");
}

bool server_hang_open(struct server *server)
{
    return hang(server, NODE_HANGS_OPEN, "hang-open");
}

bool server_hang_close(struct server *server)
{
    return hang(server, NODE_HANGS_CLOSE, "hang-close");
}

/* True, with a log line, if env is a file. */
static bool lacks_fuse(const struct server *server, const char *what)
{
    if (!server->node.served)
        logger_line(&server->conf->logger, LEVEL_WARN, "%s: only with set sim-env fuse",
                    what);
    return !server->node.served;
}

bool server_trickle(struct server *server)
{
    if (lacks_fuse(server, "trickle"))
        return false;
    node_fuse_trickle(server->node.served);
    return true;
}

bool server_opens(struct server *server)
{
    struct text lines = {0};

    if (lacks_fuse(server, "opens"))
        return false;
    node_fuse_opens(server->node.served, &lines);
    bool good = !lines.failed && file_write(STDOUT_FILENO, lines.data, lines.length) == 0;
    text_free(&lines);
    return good;
}

bool server_resume(struct server *server)
{
    server->vm.suspended = false;
    if (!publish_env(server))
        return false;
    node_unblock(&server->node);
    server->hung = false;
    return true;
}

static bool create_nodes(struct server *server)
{
    struct text env = {0};

    vm_sample(&server->vm);
    env_compose(&server->vm, &env);
    bool good = node_create(&server->node, &env) == 0;
    text_free(&env);
    return good;
}

bool server_reboot(struct server *server)
{
    const double pause = 0.2;

    if (refuses(server, "reboot"))
        return false;
    node_remove(&server->node);
    server->vm.suspended = false;
    if (server->vm.qemu)
        (void)qemu_reset(server->vm.qemu);
    if (!signals_sleep_until(signals_clock() + pause))
        return false;
    if (create_nodes(server))
        return true;
    server->exit_code = EXITCODE_AFTER_GUEST;
    server->done = true;
    return false;
}

bool server_power_button(struct server *server)
{
    if (!server->vm.qemu || !qemu_power_button(server->vm.qemu))
        return false;
    logger_line(&server->conf->logger, LEVEL_INFO,
                "power button pressed; the guest may ignore it: SIGQUIT cuts the power");
    return true;
}

static void serve_signals(struct server *server)
{
    int number;

    while (!server->done && !signals_quit() && (number = signals_next())) {
        /* A VM that hangs ignores its signals. */
        if (number == SIGUSR1 && !server->hung)
            (void)server_status(server);
        else if (number == SIGUSR2 && !server->hung)
            (void)server_dump(server);
        else if (number == SIGTERM || number == SIGINT)
            (void)server_power_button(server);
    }
}

/* Handles what QEMU reports, and shows in env what the guest executes now. */
static void serve_guest(struct server *server)
{
    struct qemu *qemu = server->vm.qemu;

    qemu_serve(qemu);
    server->done = server->done || qemu_is_off(qemu) || qemu_failed(qemu);
    if (qemu_failed(qemu))
        server->exit_code = EXITCODE_AFTER_GUEST;
    if (!server->done && !server->hung)
        (void)publish_env(server);
}

/* How long to wait for the next event, in milliseconds; -1: for ever. A guest changes all
   the time. */
static int timeout(const struct server *server, const struct command_input *input)
{
    return server->vm.qemu ? GUEST_PERIOD : command_timeout(input);
}

static void serve(struct server *server)
{
    struct command_input input;

    command_open(&input);
    while (!server->done && !signals_quit()) {
        struct pollfd ready[] = {
            {.fd = signals_fd(), .events = POLLIN},
            {.fd = command_fd(&input), .events = POLLIN},
            {.fd = server->vm.qemu ? qemu_fd(server->vm.qemu) : -1, .events = POLLIN}};
        if (poll(ready, 3, timeout(server, &input)) < 0)
            continue;
        serve_signals(server);
        if (ready[1].revents)
            command_read(&input, server);
        if (server->vm.qemu && !server->done)
            serve_guest(server);
    }
    if (signals_quit() == SIGQUIT)
        server->exit_code = EXITCODE_POWER_CUT;
}

static bool start(struct server *server, const char *root)
{
    if (server->conf->guest.kind == GUEST_QEMU)
        signals_use_button();
    if (!vm_start(&server->vm, server->conf))
        return false;
    if (node_init(&server->node, &server->vm, root)) {
        (void)fprintf(stderr, "qvm: out of memory\n");
    } else {
        /* Before the env is there: then the log has no more lines until a request. */
        logger_line(&server->conf->logger, LEVEL_INFO,
                    "simulated VM comes up, process %ld, %s/env", (long)getpid(),
                    server->node.path);
        if (create_nodes(server))
            return true;
    }
    node_free(&server->node);
    vm_stop(&server->vm);
    return false;
}

enum exitcode server_run(struct server *server, const struct conf *conf, const char *root)
{
    *server = (struct server){.conf = conf, .exit_code = EXITCODE_NORMAL};
    if (!start(server, root))
        return EXITCODE_BEFORE_GUEST;
    serve(server);
    node_remove(&server->node);
    if (server->announce)
        command_acknowledge("shutdown");
    node_free(&server->node);
    vm_stop(&server->vm);
    return server->exit_code;
}
