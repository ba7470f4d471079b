/*
 * Taking a guest dump: the file's name, or the command it is piped to.
 */
#ifndef SIM_DUMP_H
#define SIM_DUMP_H

#include "vm/vm.h"

#include <stdbool.h>

/* Takes a dump to where the configuration says, SYSTEM-YYYYMMDD-hhmmss.gcore in a directory
   (host local time, mode 0600; with -1 to -9 before the ".gcore" where a name is taken),
   and logs how it went. False if it failed or was abandoned, because the simulator was told
   to quit; a file that could not be written is removed, an abandoned one stays. */
bool dump_take(struct vm *vm);

#endif
