/* Scans over memory: find, strings, diff. Each is a userdata behind an iterator, which
 * gives what the last step has found, and does another step when that is all. Between steps
 * it calls the progress function and lets hooks run; either may close the dump.
 *
 * An iterator is the four values of a generic for: the function, two nils, and the scan
 * itself, which is freed at once when the loop is left. */
#include "memory.h"

#include "scan/diff.h"
#include "scan/find.h"
#include "scan/strings.h"

enum kind { FIND, STRINGS, DIFF };

/* User values of a scan: the handles of its memories, and the progress function or nil. */
enum { HERE = 1, THERE, PROGRESS, USER_VALUES = PROGRESS };

struct lua_scan {
    enum kind kind;
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

static const char TYPE[] = "qvm.scan";

static void close_scan(struct lua_scan *scan)
{
    if (!scan->begun)
        return;
    scan->begun = false;
    if (scan->kind == FIND)
        find_free(&scan->as.find);
    else if (scan->kind == STRINGS)
        strings_free(&scan->as.strings);
    else
        diff_free(&scan->as.diff);
}

static int scan_close(lua_State *L)
{
    close_scan(luaL_checkudata(L, 1, TYPE));
    return 0;
}

/* Ends an iterator: what the scan holds is large, and is freed without waiting for the
 * collector. Returns the results of the iterator function from then on. */
static int end_scan(struct lua_scan *scan)
{
    close_scan(scan);
    scan->ended = true;
    return 0;
}

/* Options of every scan: the arguments from 2 on are its first and last address, both
 * inclusive, a progress function or nil, and the number of threads, 0 for as many as help.
 */
struct bounds {
    uint64_t first, last;
    unsigned threads;
};

enum { FIRST = 2, LAST, PROGRESS_ARGUMENT, THREADS, REST };

static struct bounds check_bounds(lua_State *L)
{
    lua_Integer threads = luaL_optinteger(L, THREADS, 0);

    return (struct bounds){.first = (uint64_t)luaL_checkinteger(L, FIRST),
                           .last = (uint64_t)luaL_checkinteger(L, LAST),
                           .threads = threads < PARALLEL_MAX ? (unsigned)threads : 0};
}

/* Pushes the handle of the dump whose memory that of the handle at an index is. */
static struct dump **push_dump_handle(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    if (is_space_handle(L)) {
        lua_getiuservalue(L, -1, 1);
        lua_remove(L, -2);
    }
    return lua_touserdata(L, -1);
}

static struct dump **set_memory(lua_State *L, int index, int user_value)
{
    struct dump **dump = push_dump_handle(L, index);

    lua_pop(L, 1);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, user_value);
    return dump;
}

/* Pushes a scan over the memory that is argument 1, and over that of the argument `there`,
 * if that is not 0. */
static struct lua_scan *new_scan(lua_State *L, enum kind kind, int there)
{
    struct lua_scan *scan = lua_newuserdatauv(L, sizeof *scan, USER_VALUES);

    memset(scan, 0, sizeof *scan);
    scan->kind = kind;
    luaL_setmetatable(L, TYPE);
    scan->here = scan->there = set_memory(L, 1, HERE);
    if (there)
        scan->there = set_memory(L, there, THERE);
    lua_pushvalue(L, PROGRESS_ARGUMENT);
    lua_setiuservalue(L, -2, PROGRESS);
    return scan;
}

static void check_open(lua_State *L, const struct lua_scan *scan)
{
    if (!*scan->here || !*scan->there)
        luaL_error(L, "the dump is closed");
    if (!scan->begun)
        luaL_error(L, "the loop over this iterator has ended");
}

/* Calls progress(bytes of memory done, bytes in total or nil), if there is one. */
static void report(lua_State *L, struct lua_scan *scan, int index)
{
    uint64_t done, total;

    if (lua_getiuservalue(L, index, PROGRESS) == LUA_TNIL)
        return;
    done = scan_progress(&scan->as.scan, &total);
    lua_pushinteger(L, (lua_Integer)done);
    if (scan->as.scan.memory->ops->total)
        lua_pushinteger(L, (lua_Integer)total);
    else
        lua_pushnil(L);
    lua_call(L, 2, 0);
}

/* Does some more. 1; 0: there is no more; -1: failed. */
static int step(lua_State *L, struct lua_scan *scan, int index, struct qvm_error *err)
{
    int top = lua_gettop(L), status;

    check_open(L, scan);
    for (int i = HERE; i <= THERE; i++) /* progress, or a hook, may close them */
        if (lua_getiuservalue(L, index, i) == LUA_TUSERDATA) {
            push_dump_handle(L, lua_gettop(L));
            pin_dump(L, lua_gettop(L));
        }
    scan->unit = scan->item = scan->text_at = 0;
    while ((status = scan_step(&scan->as.scan, err)) < 0 && poll_incomplete(L, err))
        check_open(L, scan);
    if (status >= 0) {
        report(L, scan, index);
        poll_interrupt(L);
        check_open(L, scan);
    }
    lua_settop(L, top);
    return status;
}

/* The same in a loop, which has no way to learn of a failure but an error. */
static bool step_or_raise(lua_State *L, struct lua_scan *scan)
{
    struct qvm_error err;
    int status = step(L, scan, lua_upvalueindex(1), &err);

    if (status < 0)
        raise_failure(L, &err);
    return status > 0;
}

/* The next result of the last step, and the unit it is of. */
static const struct range *next_found(struct lua_scan *lua_scan,
                                      const struct scan_unit **unit)
{
    const struct scan *scan = &lua_scan->as.scan;

    for (; lua_scan->unit < scan->ready; lua_scan->unit++) {
        *unit = &scan->units[lua_scan->unit];
        if (lua_scan->item < (*unit)->found.count)
            return &(*unit)->found.ranges[lua_scan->item++];
        lua_scan->item = lua_scan->text_at = 0;
    }
    return NULL;
}

static struct lua_scan *upvalue_scan(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int next_match(lua_State *L)
{
    struct lua_scan *scan = upvalue_scan(L);
    const struct scan_unit *unit;
    const struct range *match;
    struct qvm_error err;

    if (scan->ended)
        return 0;
    check_open(L, scan);
    while (!(match = next_found(scan, &unit)))
        if (scan->returns_failure) {
            int status = step(L, scan, lua_upvalueindex(1), &err);

            if (status <= 0)
                return status < 0 ? push_failure(L, &err) : end_scan(scan);
        } else if (!step_or_raise(L, scan))
            return end_scan(scan);
    lua_pushinteger(L, (lua_Integer)match->first);
    return 1;
}

static int next_string(lua_State *L)
{
    struct lua_scan *scan = upvalue_scan(L);
    const struct scan_unit *unit;
    const struct range *found;
    const char *text;
    size_t n;

    if (scan->ended)
        return 0;
    check_open(L, scan);
    while (!(found = next_found(scan, &unit)))
        if (!step_or_raise(L, scan))
            return end_scan(scan);
    n = (size_t)(found->last - found->first) + 1;
    text = scan->as.strings.texts[unit - scan->as.scan.units].bytes + scan->text_at;
    scan->text_at += n; /* before Lua may run anything */
    lua_pushinteger(L, (lua_Integer)found->first);
    lua_pushlstring(L, text, n);
    return 2;
}

/* Can the next result extend the range that is kept back? */
static bool can_extend(const struct lua_scan *scan)
{
    return !scan->kept ||
           (!scan->as.scan.finished && scan->as.scan.next == scan->range.last + 1);
}

/* The next range that the steps have found; NULL: there is no more, or none that could
 * extend the range that is kept back. */
static const struct range *more_ranges(lua_State *L, struct lua_scan *scan, int *kind)
{
    const struct scan_unit *unit;
    const struct range *more;

    while (!(more = next_found(scan, &unit)) && can_extend(scan))
        if (!step_or_raise(L, scan))
            return NULL;
    if (more)
        *kind = unit->kind;
    return more;
}

/* Ranges that adjoin and are of one kind are one, wherever units have divided them. True:
 * the next one is in `range`. */
static bool next_range(lua_State *L, struct lua_scan *scan, struct range *range, int *kind)
{
    const struct range *more;
    int more_kind = 0;

    while ((more = more_ranges(L, scan, &more_kind)) != NULL) {
        if (scan->kept &&
            (more_kind != scan->range_kind || more->first != scan->range.last + 1))
            break;
        if (!scan->kept)
            scan->range = *more;
        scan->range.last = more->last;
        scan->range_kind = more_kind;
        scan->kept = true;
    }
    if (!scan->kept)
        return false;
    *range = scan->range;
    *kind = scan->range_kind;
    scan->kept = more != NULL;
    if (more) {
        scan->range = *more;
        scan->range_kind = more_kind;
    }
    return true;
}

static int next_difference(lua_State *L)
{
    static const char *const kinds[] = {
        [DIFF_CHANGED] = "changed", [DIFF_ONLY_HERE] = "here", [DIFF_ONLY_THERE] = "there"};
    struct lua_scan *scan = upvalue_scan(L);
    struct range range;
    int kind;

    if (scan->ended)
        return 0;
    check_open(L, scan);
    if (!next_range(L, scan, &range, &kind))
        return end_scan(scan);
    lua_pushinteger(L, (lua_Integer)range.first);
    lua_pushinteger(L, (lua_Integer)(range.last - range.first + 1));
    lua_pushstring(L, kinds[kind]);
    return 3;
}

/* Pushes the scan that find's arguments ask for. NULL: failed, and *results of that are
 * pushed instead. */
static struct lua_scan *new_find(lua_State *L, int *results)
{
    struct bounds bounds = check_bounds(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, REST, &size);
    uint64_t align = (uint64_t)luaL_checkinteger(L, REST + 1);
    struct lua_scan *scan = new_scan(L, FIND, 0);
    struct memory *memory = check_memory(L).memory;
    struct qvm_error err;

    luaL_argcheck(L, size > 0 && size <= PATTERN_SIZE_MAX, REST, "1 byte to 1 MiB");
    *results = 0;
    if (!memory) /* a finalizer may have closed it by now */
        *results = push_closed(L);
    else if (find_init(&scan->as.find, memory, bytes, size, bounds.first, bounds.last,
                       align, bounds.threads, &err) != 0)
        *results = push_failure(L, &err);
    scan->begun = *results == 0;
    return scan->begun ? scan : NULL;
}

/* find(memory, first, last, progress, threads, bytes, align): an iterator over addresses.
 */
static int method_find(lua_State *L)
{
    int results;

    return new_find(L, &results) ? push_iterator(L, next_match) : results;
}

/* matches(...), arguments as of find: an iterator that returns nil, message, code where
 * that of find raises. */
static int method_matches(lua_State *L)
{
    int results;
    struct lua_scan *scan = new_find(L, &results);

    if (!scan)
        return results;
    scan->returns_failure = true;
    return push_iterator(L, next_match);
}

/* strings(memory, first, last, progress, threads, min): an iterator over address, text. */
static int method_strings(lua_State *L)
{
    struct bounds bounds = check_bounds(L);
    lua_Integer min = luaL_checkinteger(L, REST);
    struct lua_scan *scan = new_scan(L, STRINGS, 0);
    struct memory *memory = check_memory(L).memory;
    struct qvm_error err;

    luaL_argcheck(L, min > 0 && min <= STRINGS_PART, REST, "from 1 to 65536 bytes");
    if (!memory)
        return push_closed(L);
    if (strings_init(&scan->as.strings, memory, (size_t)min, bounds.first, bounds.last,
                     bounds.threads, &err) != 0)
        return push_failure(L, &err);
    scan->begun = true;
    return push_iterator(L, next_string);
}

/* diff(dump, first, last, progress, threads, other Dump, granularity): an iterator over
 * start, size, kind. */
static int method_diff(lua_State *L)
{
    struct bounds bounds = check_bounds(L);
    uint64_t granularity = (uint64_t)luaL_checkinteger(L, REST + 1);
    struct qvm_error err;
    struct lua_scan *scan;

    pin(L, REST);
    check_dump(L, 1);
    check_dump(L, REST);
    scan = new_scan(L, DIFF, REST);
    if (!*scan->here || !*scan->there)
        return push_closed(L);
    if (diff_init(&scan->as.diff, &(*scan->here)->memory, &(*scan->there)->memory,
                  bounds.first, bounds.last, granularity, bounds.threads, &err) != 0)
        return push_failure(L, &err);
    scan->begun = true;
    return push_iterator(L, next_difference);
}

void add_scans(lua_State *L)
{
    static const luaL_Reg methods[] = {{"find", method_find},
                                       {"matches", method_matches},
                                       {"strings", method_strings},
                                       {"diff", method_diff},
                                       {NULL, NULL}};

    new_iterator_type(L, TYPE, scan_close);
    add_pinned(L, methods, false);
}

void add_limits(lua_State *L)
{
    lua_pushinteger(L, PATTERN_SIZE_MAX);
    lua_setfield(L, -2, "pattern_max");
    lua_pushinteger(L, STRINGS_PART);
    lua_setfield(L, -2, "strings_max");
}
