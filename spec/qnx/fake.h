/* A fake of the QNX calls that the QNX files of the core use, for tests on Linux. It does
 * what QNX's public documentation says that the calls do, as far as that matters here; no
 * more is known of the real ones, and nothing that runs on it has run on QNX. */
#ifndef QVM_SPEC_FAKE_H
#define QVM_SPEC_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What can be made to fail, and what the world can change before. */
enum fake_call {
    FAKE_OPEN_ENV,
    FAKE_READ_ENV,
    FAKE_OPEN_EXEFILE,
    FAKE_READ_EXEFILE,
    FAKE_ASK, /* ConnectServerInfo() */
    FAKE_KILL,
    FAKE_CALLS
};

struct fake_process {
    pid_t pid;
    const char *exefile;
    bool alive;
    bool stuck; /* as a server: answers nothing */
    int signals, last_signal;
};

enum {
    FAKE_PROCESSES = 3,
    FAKE_CONNECTIONS = 8,
    FAKE_FIRST_ID = 100 /* descriptors: on QNX they are connection ids */
};

struct fake_connection {
    bool open, exefile;
    struct fake_process *server;
    const char *text; /* what is left to read */
};

struct fake {
    struct fake_process processes[FAKE_PROCESSES];
    struct fake_process *server; /* of the env */
    const char *env;             /* its text; NULL: there is none */
    uint32_t node;               /* where the server is */
    struct fake_connection connections[FAKE_CONNECTIONS];
    struct {
        int times, number; /* so many calls fail with this errno */
    } failures[FAKE_CALLS];
    void (*before)(enum fake_call call, int count); /* count: from 1, of this call */
    int counts[FAKE_CALLS];
    bool armed;           /* TimerTimeout() bounds the next call */
    uint64_t bound;       /* by so many nanoseconds */
    int unbounded;        /* calls to a server that nothing bounded */
    int wrong_deliveries; /* of signals to no process, or to many */
};

extern struct fake fake;

/* A world with one VM, served by process 4099, "/proc/boot/qvm", which lives beside process
 * 8201, "/usr/bin/innocent". */
void fake_reset(void);

/* Another connection of this process, to that server. Returns its id. */
int fake_connect(struct fake_process *server);

/* Connections that are open. */
int fake_open_count(void);

#endif
