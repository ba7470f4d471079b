/* Scans over memory in the form in which Lua holds them, for scans.c and diff.c. */
#ifndef QVM_LUA_SCANS_H
#define QVM_LUA_SCANS_H

#include "memory.h"

#include "scan/diff.h"
#include "scan/find.h"
#include "scan/strings.h"

enum scan_kind { FIND, STRINGS, DIFF };

struct lua_scan {
    enum scan_kind kind;
    bool begun;                  /* there is something to free */
    bool ended;                  /* the last result was given */
    bool returns_failure;        /* of a step, as nil, message, code, and does not raise */
    struct dump **here, **there; /* the dumps whose memories they are */
    size_t unit, item;           /* the next of the last step's results */
    size_t text_at;
    /* Of diff: the range that is kept back, since what follows may extend it. */
    bool kept;
    struct range range;
    int range_kind;
    union {
        struct scan scan;
        struct find find;
        struct strings strings;
        struct diff diff;
    } as;
};

/* Options of every scan: the arguments from 2 on are its first and last address, both
 * inclusive, a progress function or nil, and the number of threads, 0 for as many as help.
 */
struct scan_bounds {
    uint64_t first, last;
    unsigned threads;
};

enum { SCAN_FIRST = 2, SCAN_LAST, SCAN_PROGRESS, SCAN_THREADS, SCAN_REST };

struct scan_bounds check_scan_bounds(lua_State *L);

/* Pushes a scan over the memory that is argument 1, and over that of the argument `there`,
 * if that is not 0. */
struct lua_scan *new_scan(lua_State *L, enum scan_kind kind, int there);

/* The scan that an iterator function has as its upvalue. */
struct lua_scan *upvalue_scan(lua_State *L);

/* Raises if a dump was closed, or the loop was left. */
void check_scan_open(lua_State *L, const struct lua_scan *scan);

/* Does some more, in a loop, which has no way to learn of a failure but an error. False:
 * there is no more. */
bool step_or_raise(lua_State *L, struct lua_scan *scan);

/* The next result of the last step, and the unit it is of. NULL: that is all. */
const struct range *next_found(struct lua_scan *scan, const struct scan_unit **unit);

/* Ends an iterator: what the scan holds is large, and is freed without waiting for the
 * collector. Returns the results of the iterator function from then on. */
int end_scan(struct lua_scan *scan);

/* diff(dump, first, last, progress, threads, other Dump, granularity): an iterator over
 * start, size, kind. */
int diff_memory(lua_State *L);

#endif
