/*
 * What the simulator tells its user before the VM is up: exit codes, the help, and errors
 * and warnings that name a place in the configuration.
 */
#ifndef SIM_MESSAGE_H
#define SIM_MESSAGE_H

#include <stddef.h>
#include <stdio.h>

/* Exit codes: those that QNX documents for its qvm, as far as they apply. */
enum exitcode {
    EXITCODE_NORMAL = 0,        /* the guest shut down */
    EXITCODE_POWER_CUT = 3,     /* SIGQUIT */
    EXITCODE_BEFORE_GUEST = 64, /* fatal error before the guest started */
    EXITCODE_CONFIG = 65,       /* fatal error in the configuration */
    EXITCODE_AFTER_GUEST = 96   /* fatal error after the guest started */
};

/* The place of a token: line `line` (from 1) of `file`, or, if `file` is NULL, argument
   `line` of the command line. Line 0 without a file: no place. The file name is borrowed.
 */
struct place {
    const char *file;
    unsigned long line;
};

/* Writes one line "qvm: FILE:LINE: warning: ..." to stderr. */
void place_warn(struct place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes one line "qvm: FILE:LINE: ..." to stderr and exits with EXITCODE_CONFIG. Only for
   use while the configuration is read: nothing needs to be undone then. */
_Noreturn void place_fail(struct place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Grows an array of configuration data: returns an array with the `count` elements of
   `size` bytes of `items` (which may be NULL) and one more, which is zeroed. Exits with
   EXITCODE_BEFORE_GUEST if memory runs out. */
void *place_grow(void *items, size_t count, size_t size);

/* Writes the whole help, at most 80 columns wide. */
void usage_print(FILE *out);

/* Writes the variables that `set` knows. */
void usage_variables(FILE *out);

#endif
