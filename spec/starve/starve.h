/* A Lua interpreter in which memory and system calls fail when a spec wants them to. As an
 * executable it comes before the C library where the module looks for malloc, open and the
 * rest, so what is tested is the module as it is. */
#ifndef STARVE_H
#define STARVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What is to fail, if `what` names it: the call number `at` from now on, and all that
 * follow if `all`. Number 0: none, they are only counted. */
struct plan {
    const char *what; /* "lua", "c", or the name of a function; NULL: nothing */
    long at;
    bool all;
    int number; /* errno, or one of the below */
    _Atomic long count;
    atomic_bool hit;
};

enum { SHORT = -1, SLOW = -2 };

extern struct plan plan;

/* One more call of what is so named. Is it to fail? */
bool plan_takes(const char *what);

/* For lua_newstate. */
void *starve_lua(void *unused, void *block, size_t before, size_t size);

/* Blocks that malloc and the like gave, and that were not freed: not those of Lua. */
long starve_live(void);

/* Calls of each function so far while a plan was there: the name of the index-th one, NULL
 * behind the last. */
const char *system_name(unsigned index, long *count);
void system_reset(void);

#endif
