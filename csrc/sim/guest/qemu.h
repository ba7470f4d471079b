/*
 * A guest that QEMU runs for a simulated VM: a child process, which ends with this one.
 */
#ifndef SIM_QEMU_H
#define SIM_QEMU_H

#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qemu;

/* Starts QEMU and the guest. NULL, with a message on stderr, if that failed. */
struct qemu *qemu_start(const struct conf *conf);

/* Cuts the power, if QEMU still runs, and frees everything. */
void qemu_end(struct qemu *qemu);

/* A descriptor that poll() finds readable when QEMU has something to report. */
int qemu_fd(const struct qemu *qemu);

/* Takes the reports, and logs those that a user wants to know. */
void qemu_serve(struct qemu *qemu);

/* What the reports say: the guest is off; QEMU has ended by itself, or does not answer; the
   guest sleeps (ACPI state S3). */
bool qemu_is_off(const struct qemu *qemu);
bool qemu_failed(const struct qemu *qemu);
bool qemu_is_suspended(const struct qemu *qemu);

/* QEMU's process, and its thread that runs a vCPU. */
pid_t qemu_pid(const struct qemu *qemu);
pid_t qemu_tid(const struct qemu *qemu, size_t vcpu);

/* Copies QEMU's word for the guest's state, such as "running". False: no answer. */
bool qemu_status(struct qemu *qemu, char *status, size_t size);

/* Presses the power button; resets the machine. False: no answer. */
bool qemu_power_button(struct qemu *qemu);
bool qemu_reset(struct qemu *qemu);

/* Updates the vCPUs' program counters, while the guest runs. */
void qemu_sample(struct qemu *qemu);

/* The program counter of a vCPU, as last sampled. Any thread may ask. */
uint64_t qemu_ip(const struct qemu *qemu, size_t vcpu);

/* Stops the guest and reads all registers; lets it run again if it ran. False, with a log
   line: there are no registers, and the guest runs as before. */
bool qemu_pause(struct qemu *qemu);
void qemu_continue(struct qemu *qemu);

/* The register of a vCPU, by the simulator's name of it, as last read. False: QEMU does not
   show it. */
bool qemu_register(const struct qemu *qemu, size_t vcpu, const char *name, uint64_t *value);

/* Reads guest memory. Returns 0, or an errno value. */
int qemu_read(const struct qemu *qemu, uint64_t address, void *bytes, size_t size);

#endif
