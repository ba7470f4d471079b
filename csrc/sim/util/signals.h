/*
 * Signals, and sleeping that they can end.
 *
 * Handlers only record signals: SIGUSR1 and SIGUSR2 in a pipe, in order, one byte each;
 * SIGTERM, SIGINT and SIGQUIT also in a flag, which stays set.
 */
#ifndef SIM_SIGNALS_H
#define SIM_SIGNALS_H

#include <stdbool.h>

/* Installs the handlers. Call it once, before other processes can find this one.
   Returns 0, or -1 with errno set. */
int signals_install(void);

/* From now on, SIGTERM and SIGINT are requests like SIGUSR1: they press the power button of
   a guest, which may take its time. */
void signals_use_button(void);

/* A descriptor that poll() finds readable when a signal is waiting. */
int signals_fd(void);

/* Takes the next waiting signal number; 0 if there is none. */
int signals_next(void);

/* The first of SIGTERM, SIGINT and SIGQUIT that arrived; 0 if none has. */
int signals_quit(void);

/* The time of a monotonic clock, in seconds. */
double signals_clock(void);

/* Sleeps until that clock shows `deadline`. False: told to quit, possibly earlier. */
bool signals_sleep_until(double deadline);

/* Closes the pipe. The handlers stay installed, but have no effect. */
void signals_close(void);

#endif
