/* A Lua interpreter in which memory and system calls fail on demand. It is an executable
 * that defines malloc(), open() and the rest, so the dynamic linker finds them before those
 * of the C library, and the module under test is used unchanged. */
#ifndef STARVE_H
#define STARVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What is to fail: the calls named `what`, from number `at` on, only that one or, with
 * `all`, every later one too. With at = 0 none fails; they are only counted. */
struct plan {
    const char *what; /* "lua", "c" (malloc), or a function's name; NULL: no plan */
    long at;
    bool all;
    int number;         /* errno, or one of the values below */
    _Atomic long count; /* calls so far */
    atomic_bool hit;    /* a call has failed */
};

enum {
    SHORT = -1, /* fewer bytes are transferred than were asked for */
    SLOW = -2   /* the call takes its time */
};

extern struct plan plan;

/* Counts a call of this name; true if it is to fail. */
bool plan_takes(const char *what);

/* An allocator for lua_newstate(). */
void *starve_lua(void *unused, void *block, size_t before, size_t size);

/* Blocks from malloc() and its relatives that are not freed yet; Lua's are not counted. */
long starve_live(void);

/* The index-th function that was called and how often, since system_reset() and while there
 * was a plan; NULL after the last one. */
const char *system_name(unsigned index, long *count);
void system_reset(void);

#endif
