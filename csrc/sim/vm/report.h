/*
 * The status text, as logged on SIGUSR1 and put into dumps.
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "text.h"
#include "vm/vm.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the text: lines "SYSTEM info: ...", the first one with `kind` ("status", "dump")
   and `number`. `all_vdevs`: those with `debug` off as well. */
void report_compose(const struct vm *vm, const char *kind, uint64_t number, bool all_vdevs,
                    struct text *out);

#endif
