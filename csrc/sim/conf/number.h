/*
 * Numbers as configurations write them.
 */
#ifndef SIM_NUMBER_H
#define SIM_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Each takes the whole string, returns false if it is something else, and leaves the result
   alone then. */

/* Decimal, also with 0d, or hexadecimal with 0x. */
bool number_plain(const char *string, uint64_t *value);

/* The same, with one of K, M, G (either case) behind it: a power of 1024. */
bool number_size(const char *string, uint64_t *value);

/* Decimal, perhaps with a fraction; from 0 to 86400. */
bool number_seconds(const char *string, double *value);

/* on off, 1 0, yes no, true false. */
bool number_boolean(const char *string, bool *value);

#endif
