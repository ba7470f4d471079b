/*
 * The help texts.
 */
#ifndef SIM_USAGE_H
#define SIM_USAGE_H

#include <stdio.h>

/* The whole help, at most 80 columns wide. */
void usage_print(FILE *out);

/* The variables that `set` knows. */
void usage_variables(FILE *out);

#endif
