/*
 * A client of the QEMU Machine Protocol (QEMU: docs/interop/qmp-spec): commands and events
 * in JSON, one message per line.
 */
#ifndef SIM_QMP_H
#define SIM_QMP_H

#include "util/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qmp {
    int fd; /* borrowed */
    /* Is called for each event with its name and, of SHUTDOWN, the reason; else "". */
    void (*event)(void *data, const char *name, const char *reason);
    void *data;
    struct text input; /* bytes that are not handled yet */
    bool lost; /* QEMU has ended, or an answer did not come: nothing more is asked */
};

/* Waits for QEMU's greeting and ends the negotiation. */
bool qmp_open(struct qmp *qmp);

void qmp_close(struct qmp *qmp);

/* Runs a command, given as JSON, and waits for the answer, which `answer`, if not NULL,
   receives as JSON. Events that arrive before it are handled. False: QEMU has ended, does
   not answer, or refuses the command. */
bool qmp_call(struct qmp *qmp, const char *command, struct text *answer);

/* Asks QEMU to end, and does not wait for an answer. */
void qmp_quit(struct qmp *qmp);

/* Handles the events that have arrived. False: QEMU is lost. */
bool qmp_serve(struct qmp *qmp);

/* Finds occurrence `number`, from 0, of the member `key` of the objects at depth `depth`
   (1: the outermost object). Each returns false if there is none of that type; a string is
   cut to `size` bytes with its NUL. */
bool qmp_string(const struct text *answer, unsigned depth, const char *key, char *string,
                size_t size);
bool qmp_integer(const struct text *answer, unsigned depth, const char *key,
                 unsigned number, int64_t *value);

#endif
