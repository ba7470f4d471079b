/* What the bounds share: see bound.c. */
#ifndef BOUND_H
#define BOUND_H

#include <stddef.h>
#include <stdint.h>

struct work {
    const char *name;
    int words; /* how many it takes */
    void (*prepare)(void);
    uint64_t (*run)(void);
};

extern const struct work load_works[], pass_works[]; /* up to one without a name */

extern char **words; /* of the command line, behind the repetitions */

_Noreturn void fail(const char *what);
int open_file(const char *path);
uint64_t size_of(int fd);

#endif
