/*
 * The text of env. QNX documents that it is JSON; the member names and the nesting here are
 * the simulator's choice.
 */
#ifndef SIM_ENV_H
#define SIM_ENV_H

#include "text.h"
#include "vm/vm.h"

/* Appends the document, or the configured template as it is. Each vCPU has a line of its
   own, { "tid": 4711, "last_known_ip": 0 } with just these blanks: existing checks take its
   fifth field. */
void env_compose(const struct vm *vm, struct text *out);

#endif
