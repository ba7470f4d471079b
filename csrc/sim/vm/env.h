/*
 * The text of env. QNX documents that it is JSON; names and nesting of the members are the
 * simulator's choice.
 */
#ifndef SIM_ENV_H
#define SIM_ENV_H

#include "util/text.h"
#include "vm/vm.h"

/* Appends the document, or the configured template as it is. Each vCPU is a line of its
   own, { "tid": 4711, "last_known_ip": 0 }, with exactly these blanks: existing scripts
   take the fifth field of the line. With `set sim-env fuse` a thread of its own calls this
   (node_fuse.c) while the main thread serves requests. */
void env_compose(const struct vm *vm, struct text *out);

#endif
