/* Shared by the sources of bound: see bound.c. */
#ifndef BOUND_H
#define BOUND_H

#include <stddef.h>
#include <stdint.h>

struct work {
    const char *name;
    int words; /* number of arguments */
    void (*prepare)(void);
    uint64_t (*run)(void);
};

extern const struct work load_works[], scan_works[], vm_works[]; /* end with a NULL name */

extern char **words; /* command-line arguments after the repetitions */

_Noreturn void fail(const char *what);
int open_file(const char *path);
uint64_t size_of(int fd);

#endif
