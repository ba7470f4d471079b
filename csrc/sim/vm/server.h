/*
 * The running simulator, and its requests.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "conf/message.h"
#include "vm/node.h"
#include "vm/vm.h"

#include <stdbool.h>

struct server {
    const struct conf *conf; /* borrowed */
    struct vm vm;
    struct node node;
    bool hung;     /* does not answer */
    bool done;     /* leave the main loop: shut down, or broken */
    bool announce; /* acknowledge `shutdown` at the end */
    enum exitcode exit_code;
};

/* Each serves one request. False, with a log line: it failed or does not apply now. */
bool server_status(struct server *server);
bool server_dump(struct server *server);
bool server_suspend(struct server *server);
bool server_hang(struct server *server);

/* The same for a directory that is served with FUSE: env blocks in open() or close(), gives
   one byte for each read(), or its opens are listed on standard output. */
bool server_hang_open(struct server *server);
bool server_hang_close(struct server *server);
bool server_trickle(struct server *server);
bool server_opens(struct server *server);

/* Undoes all of these but server_opens(). */
bool server_resume(struct server *server);

/* Presses the power button of the guest that QEMU runs. False: there is none. */
bool server_power_button(struct server *server);

/* Removes the directory for 0.2 seconds. Afterwards the guest runs; QEMU resets it. */
bool server_reboot(struct server *server);

/* Makes the VM appear, serves signals and standard input until told to quit, and removes
   it. Returns the exit code. */
enum exitcode server_run(struct server *server, const struct conf *conf, const char *root);

#endif
