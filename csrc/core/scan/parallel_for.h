/* Work in equal parts on more than one processor. */
#ifndef QVM_PARALLEL_FOR_H
#define QVM_PARALLEL_FOR_H

#include <stddef.h>

/* More do not help: the parts are bound by reading. And the machine has guests to run. */
#define PARALLEL_MAX 2

/* Calls run(context, part, worker) once for each part below `parts`, in ascending order of
 * their beginnings, in up to `workers` threads (the caller's is one of them, number 0). All
 * have ended when it returns. Where no thread can be had, the caller's does it all. */
void parallel_for(unsigned workers, size_t parts,
                  void (*run)(void *context, size_t part, unsigned worker), void *context);

#endif
