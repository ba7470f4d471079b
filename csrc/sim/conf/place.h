/*
 * Places in the configuration, and messages that name them.
 */
#ifndef SIM_PLACE_H
#define SIM_PLACE_H

#include <stddef.h>

/* Where a token stands: line `line` (from 1) of `file`, or, with `file` NULL, command line
   argument `line`. Line 0 without a file: nowhere. The file name is borrowed. */
struct place {
    const char *file;
    unsigned long line;
};

/* Writes one line "qvm: FILE:LINE: warning: ..." to stderr. */
void place_warn(struct place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes one line "qvm: FILE:LINE: ..." to stderr and exits with EXITCODE_CONFIG. To be
   used only while the configuration is read: nothing needs to be undone then. */
_Noreturn void place_fail(struct place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Allocation for configuration data: a larger array, to hold one more than the `count`
   elements of `size` bytes that `items` (or NULL) holds. The new element is zeroed. Exits
   with EXITCODE_BEFORE_GUEST when memory runs out. */
void *place_grow(void *items, size_t count, size_t size);

#endif
