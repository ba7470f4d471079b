/* A fake of the QNX calls that the QNX files of the core use, for tests on Linux. It
 * behaves as QNX's public documentation describes the calls, as far as the tests need.
 * The real calls may behave differently, and nothing that runs on the fake has run on
 * QNX. */
#ifndef QVM_SPEC_FAKE_H
#define QVM_SPEC_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The calls that can be made to fail, or be preceded by a change of the world. */
enum fake_call {
    FAKE_OPEN_ENV,
    FAKE_READ_ENV,
    FAKE_OPEN_EXEFILE,
    FAKE_READ_EXEFILE,
    FAKE_ASK, /* ConnectServerInfo() */
    FAKE_KILL,
    FAKE_OPEN_CTL,
    FAKE_DEVCTL, /* DCMD_PROC_TIDSTATUS */
    FAKE_CALLS
};

struct fake_process {
    pid_t pid;
    const char *exefile;
    bool alive;
    bool stuck; /* as a server: does not answer */
    int signals, last_signal;
    int threads; /* their ids are 1, 3, 5, ... */
};

enum {
    FAKE_PROCESSES = 3,
    FAKE_CONNECTIONS = 8,
    FAKE_FIRST_ID = 100 /* descriptors: on QNX they are connection ids */
};

struct fake_connection {
    bool open, exefile;
    pid_t ctl; /* the process whose /proc/PID/ctl it is, or 0 */
    struct fake_process *server;
    const char *text; /* the rest that can be read */
};

struct fake {
    struct fake_process processes[FAKE_PROCESSES];
    struct fake_process *server; /* of the env */
    const char *env;             /* its text; NULL: there is no env */
    uint32_t node;               /* of the server; 0: this machine */
    struct fake_connection connections[FAKE_CONNECTIONS];
    struct {
        int times, number; /* how many more calls fail, and with which errno */
    } failures[FAKE_CALLS];
    /* Runs before each call; count is the number of this call, from 1. */
    void (*before)(enum fake_call call, int count);
    int counts[FAKE_CALLS];
    bool armed;           /* TimerTimeout() bounds the next call */
    uint64_t bound;       /* in nanoseconds */
    int unbounded;        /* calls to a server that nothing bounded */
    int wrong_deliveries; /* signals to no process, or to many */
};

extern struct fake fake;

/* The CPU time in nanoseconds and the priority of the thread `tid` of any process. */
#define FAKE_CPU_TIME(tid) (UINT64_C(1000000007) * (uint64_t)(tid))
#define FAKE_PRIORITY(tid) (10 + (int)(tid))

/* Starts over with one VM, served by process 4099, "/proc/boot/qvm"; there is also process
 * 8201, "/usr/bin/innocent". */
void fake_reset(void);

/* Opens another connection to a server; returns its id. */
int fake_connect(struct fake_process *server);

/* Number of connections that are open. */
int fake_open_count(void);

#endif
