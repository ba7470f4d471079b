/*
 * Taking a guest dump.
 */
#ifndef SIM_DUMP_H
#define SIM_DUMP_H

#include "vm/vm.h"

#include <stdbool.h>

/* Writes a dump to the command of the configuration, or to its directory, as
   SYSTEM-YYYYMMDD-hhmmss.gcore (local time of the host, mode 0600; with -1 to -9 before
   ".gcore" if a name is taken), and logs the result. False if it failed, or was abandoned
   because the simulator was told to quit. A file that cannot be written is removed, an
   abandoned one is kept. */
bool dump_take(struct vm *vm);

#endif
