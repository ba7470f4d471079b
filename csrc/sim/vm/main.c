/*
 * qvm: simulates a qvm process of a QNX Hypervisor host on Linux. One process simulates one
 * VM, as far as other processes on the host can see it. No guest runs in it; QEMU can run
 * one as a child process.
 */
#include "conf/conf.h"
#include "conf/message.h"
#include "util/file.h"
#include "util/signals.h"
#include "vm/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ROOT "/dev/qvm"

/* Static: conf_read() may exit, and leak checkers must still find what it has allocated. */
static struct conf conf;
static struct server server;

static bool wants_help(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static enum exitcode run(void)
{
    const char *root = getenv("QVM_ROOT");

    if (!root || !*root)
        root = DEFAULT_ROOT;
    if (conf.served && node_fuse_lacks())
        place_fail(conf.served_place, "set sim-env fuse: %s", node_fuse_lacks());
    if (node_root(root))
        return EXITCODE_BEFORE_GUEST;
    if (signals_install()) {
        (void)fprintf(stderr, "qvm: cannot handle signals: %s\n", strerror(errno));
        return EXITCODE_BEFORE_GUEST;
    }
    enum exitcode code = server_run(&server, &conf, root);
    signals_close();
    return code;
}

int main(int argc, char *argv[])
{
    if (file_open_standard())
        return EXITCODE_BEFORE_GUEST;
    if (wants_help(argc, argv)) {
        usage_print(stdout);
        return fflush(stdout) ? EXITCODE_BEFORE_GUEST : EXITCODE_NORMAL;
    }
    conf_read(&conf, argc, argv);
    enum exitcode code = run();
    conf_free(&conf);
    return (int)code;
}
