/*
 * Talks to QEMU. QMP tells the threads of the vCPUs, stops and continues the guest, and
 * reports its end; the gdb stub shows all registers of a stopped guest, control registers
 * included. The guest's memory is a file in memory that QEMU maps and this process reads.
 */
#define _GNU_SOURCE
#include "guest/qemu.h"

#include "guest/qemu_process.h"
#include "guest/qmp.h"
#include "guest/registers.h"
#include "util/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct qemu {
    const struct conf *conf; /* borrowed */
    struct qemu_process process;
    struct qmp qmp;
    struct registers registers;
    pid_t *tids; /* of the vCPUs' threads */
    atomic_uint_least64_t
        *ips; /* their program counters; env may be composed by a thread */
    bool off, failed, suspended;
    bool paused; /* by qemu_pause() */
};

static void handle_event(void *data, const char *name, const char *reason)
{
    struct qemu *qemu = data;
    const struct logger *logger = &qemu->conf->logger;

    if (strcmp(name, "SHUTDOWN") == 0) {
        qemu->off = true;
        logger_line(logger, LEVEL_INFO, "the guest is off: %s", reason);
    } else if (strcmp(name, "GUEST_PANICKED") == 0) {
        logger_line(logger, LEVEL_ERROR, "the guest has panicked");
    } else if (strcmp(name, "RESET") == 0) {
        qemu->suspended = false;
        logger_line(logger, LEVEL_INFO, "the guest resets: %s", reason);
    } else if (strcmp(name, "SUSPEND") == 0 || strcmp(name, "WAKEUP") == 0) {
        qemu->suspended = name[0] == 'S';
    }
}

static void lost(struct qemu *qemu)
{
    if (!qemu->off && !qemu->failed)
        logger_line(&qemu->conf->logger, LEVEL_FATAL, "QEMU has ended, or does not answer");
    qemu->failed = qemu->failed || !qemu->off;
}

void qemu_serve(struct qemu *qemu)
{
    if (!qmp_serve(&qemu->qmp))
        lost(qemu);
}

/* The threads of the vCPUs. Not "thread-id" of the deeper "props", which is a number of
   the topology. */
static bool read_threads(struct qemu *qemu)
{
    struct text answer = {0};
    bool good = qmp_call(&qemu->qmp, "{\"execute\": \"query-cpus-fast\"}", &answer);

    for (unsigned i = 0; good && i < qemu->conf->cpu_count; i++) {
        int64_t index;
        int64_t tid;
        good = qmp_integer(&answer, 3, "cpu-index", i, &index) && index >= 0 &&
               (uint64_t)index < qemu->conf->cpu_count &&
               qmp_integer(&answer, 3, "thread-id", i, &tid);
        if (good)
            qemu->tids[index] = (pid_t)tid;
    }
    text_free(&answer);
    return good;
}

/* Reads all registers of the stopped guest. */
static bool read_registers(struct qemu *qemu)
{
    bool arm = qemu->conf->machine == MACHINE_AARCH64;
    uint64_t ip = 0;

    if (!registers_read(&qemu->registers, qemu->process.gdb))
        return false;
    for (size_t i = 0; i < qemu->conf->cpu_count; i++) {
        if (registers_value(&qemu->registers, i, arm ? "pc" : "rip", &ip))
            atomic_store(&qemu->ips[i], ip);
    }
    return true;
}

/* Connects to QEMU and starts the guest. False, with a message on stderr: that failed. */
static bool connect_to(struct qemu *qemu)
{
    const char *missing = NULL;

    qemu->qmp = (struct qmp){.fd = qemu->process.qmp, .event = handle_event, .data = qemu};
    bool good = qmp_open(&qemu->qmp) &&
                !(missing = registers_find(&qemu->registers, qemu->process.gdb)) &&
                read_threads(qemu) && read_registers(qemu) &&
                qmp_call(&qemu->qmp, "{\"execute\": \"cont\"}", NULL);
    if (missing)
        (void)fprintf(stderr, "qvm: sim-guest qemu: QEMU's gdb stub has no %s\n", missing);
    else if (!good)
        (void)fprintf(stderr, "qvm: sim-guest qemu: QEMU has ended or does not answer\n");
    return good;
}

static bool allocate(struct qemu *qemu, const struct conf *conf)
{
    *qemu = (struct qemu){.conf = conf, .qmp = {.fd = -1}};
    qemu_process_init(&qemu->process);
    qemu->tids = calloc(conf->cpu_count, sizeof *qemu->tids);
    qemu->ips = calloc(conf->cpu_count, sizeof *qemu->ips);
    return qemu->tids && qemu->ips &&
           registers_init(&qemu->registers, conf->machine, conf->cpu_count);
}

static void release(struct qemu *qemu)
{
    qmp_close(&qemu->qmp);
    qemu_process_close(&qemu->process);
    registers_free(&qemu->registers);
    free(qemu->tids);
    free(qemu->ips);
    free(qemu);
}

struct qemu *qemu_start(const struct conf *conf)
{
    struct qemu *qemu = malloc(sizeof *qemu);

    if (!qemu || !allocate(qemu, conf)) {
        (void)fputs("qvm: out of memory\n", stderr);
        if (qemu)
            release(qemu);
        return NULL;
    }
    if (qemu_process_start(&qemu->process, conf) && connect_to(qemu))
        return qemu;
    qemu_end(qemu);
    return NULL;
}

void qemu_end(struct qemu *qemu)
{
    if (!qemu->off && !qemu->failed && qemu->qmp.fd >= 0)
        qmp_quit(&qemu->qmp);
    qemu_process_end(&qemu->process);
    release(qemu);
}

int qemu_fd(const struct qemu *qemu)
{
    return qemu->process.qmp;
}

bool qemu_is_off(const struct qemu *qemu)
{
    return qemu->off;
}

bool qemu_failed(const struct qemu *qemu)
{
    return qemu->failed;
}

bool qemu_is_suspended(const struct qemu *qemu)
{
    return qemu->suspended;
}

pid_t qemu_pid(const struct qemu *qemu)
{
    return qemu->process.pid;
}

pid_t qemu_tid(const struct qemu *qemu, size_t vcpu)
{
    return qemu->tids[vcpu];
}

bool qemu_status(struct qemu *qemu, char *status, size_t size)
{
    struct text answer = {0};
    bool good = qmp_call(&qemu->qmp, "{\"execute\": \"query-status\"}", &answer) &&
                qmp_string(&answer, 2, "status", status, size);

    text_free(&answer);
    return good;
}

bool qemu_power_button(struct qemu *qemu)
{
    return qmp_call(&qemu->qmp, "{\"execute\": \"system_powerdown\"}", NULL);
}

bool qemu_reset(struct qemu *qemu)
{
    /* A guest that slept does not run by itself afterwards. */
    return qmp_call(&qemu->qmp, "{\"execute\": \"system_reset\"}", NULL) &&
           qmp_call(&qemu->qmp, "{\"execute\": \"cont\"}", NULL);
}

/* The number after "PC=", "RIP=" or, in code of 16 or 32 bits, "EIP=" in the human
 * monitor's list of registers. */
static bool parse_pc(const char *list, bool arm, uint64_t *value)
{
    const char *at = strstr(list, arm ? " PC=" : "RIP=");

    if (!at && !arm)
        at = strstr(list, "EIP=");
    return at && sscanf(at + 4, "%" SCNx64, value) == 1;
}

void qemu_sample(struct qemu *qemu)
{
    bool arm = qemu->conf->machine == MACHINE_AARCH64;

    for (size_t i = 0; i < qemu->conf->cpu_count && !qemu->failed && !qemu->off; i++) {
        struct text answer = {0};
        uint64_t ip;
        char command[128];
        char list[4096];
        (void)snprintf(command, sizeof command,
                       "{\"execute\": \"human-monitor-command\", \"arguments\": "
                       "{\"command-line\": \"info registers\", \"cpu-index\": %zu}}",
                       i);
        if (qmp_call(&qemu->qmp, command, &answer) &&
            qmp_string(&answer, 1, "return", list, sizeof list) && parse_pc(list, arm, &ip))
            atomic_store(&qemu->ips[i], ip);
        text_free(&answer);
    }
}

bool qemu_pause(struct qemu *qemu)
{
    char status[32];

    qemu->paused = qemu_status(qemu, status, sizeof status) &&
                   strcmp(status, "running") == 0 &&
                   qmp_call(&qemu->qmp, "{\"execute\": \"stop\"}", NULL);
    if (read_registers(qemu))
        return true;
    logger_line(&qemu->conf->logger, LEVEL_ERROR, "QEMU does not show its registers");
    qemu_continue(qemu);
    return false;
}

void qemu_continue(struct qemu *qemu)
{
    if (qemu->paused)
        (void)qmp_call(&qemu->qmp, "{\"execute\": \"cont\"}", NULL);
    qemu->paused = false;
}

uint64_t qemu_ip(const struct qemu *qemu, size_t vcpu)
{
    return atomic_load(&qemu->ips[vcpu]);
}

bool qemu_register(const struct qemu *qemu, size_t vcpu, const char *name, uint64_t *value)
{
    return registers_value(&qemu->registers, vcpu, name, value);
}

int qemu_read(const struct qemu *qemu, uint64_t address, void *bytes, size_t size)
{
    return file_read_at(qemu->process.memory, address - conf_ram_base(qemu->conf), bytes,
                        size);
}
