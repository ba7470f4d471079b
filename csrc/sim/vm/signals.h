/*
 * Signals, and waiting that they can end.
 *
 * Handlers only note what came: SIGUSR1 and SIGUSR2 in a pipe, one byte each, in order;
 * SIGTERM, SIGINT and SIGQUIT in a flag as well, which stays set.
 */
#ifndef SIM_SIGNALS_H
#define SIM_SIGNALS_H

#include <stdbool.h>

/* Installs the handlers; to be called once, before any other process can find this one.
   Returns 0, or -1 with errno set. */
int signals_install(void);

/* The descriptor that polls readable when a signal is waiting. */
int signals_fd(void);

/* Takes the next waiting signal number; 0 if there is none. */
int signals_next(void);

/* The first of SIGTERM, SIGINT and SIGQUIT that came; 0 so far. */
int signals_quit(void);

/* Seconds of a monotonic clock. */
double signals_clock(void);

/* Sleeps until that clock shows `deadline`. False: told to quit, perhaps before the time.
 */
bool signals_sleep_until(double deadline);

/* Closes the pipe. The handlers stay, and do no harm. */
void signals_close(void);

#endif
