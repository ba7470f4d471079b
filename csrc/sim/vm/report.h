/*
 * The status text, which SIGUSR1 logs and dumps contain.
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "util/text.h"
#include "vm/vm.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the text: lines "SYSTEM info: ...". The first one has `kind` ("status", "dump")
   and `number`. `all_vdevs`: including those with `debug` off. */
void report_compose(const struct vm *vm, const char *kind, uint64_t number, bool all_vdevs,
                    struct text *out);

#endif
