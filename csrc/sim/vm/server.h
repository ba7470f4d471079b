/*
 * The running simulator: what it does on request.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "exitcode.h"
#include "vm/node.h"
#include "vm/vm.h"

#include <stdbool.h>

struct server {
    const struct conf *conf; /* borrowed */
    struct vm vm;
    struct node node;
    bool hung;     /* does not answer */
    bool done;     /* to shut down, or broken: leave the main loop */
    bool announce; /* `shutdown` is to be acknowledged at the end */
    enum exitcode exit_code;
};

/* Each serves one request. False: it failed or does not apply now, and a log line says so.
 */
bool server_status(struct server *server);
bool server_dump(struct server *server);
bool server_suspend(struct server *server);
bool server_hang(struct server *server);

/* Ends suspension and hanging alike. */
bool server_resume(struct server *server);

/* Removes the directory for 0.2 seconds; the guest runs afterwards. */
bool server_reboot(struct server *server);

/* Makes the VM appear, serves signals and standard input until told to quit, and makes it
   disappear. Returns the exit code. */
enum exitcode server_run(struct server *server, const struct conf *conf, const char *root);

#endif
