/* Scans over memory: what they have in common, and find and strings; diff is in diff.c.
 * Each is a userdata behind an iterator, which gives what the last step has found, and does
 * another step when that is all. Between steps it calls the progress function and lets
 * hooks run; either may close the dump.
 *
 * An iterator is the four values of a generic for: the function, two nils, and the scan
 * itself, which is freed at once when the loop is left. */
#include "scans.h"

/* User values of a scan: the handles of its memories, and the progress function or nil. */
enum { HERE = 1, THERE, PROGRESS, USER_VALUES = PROGRESS };

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

int end_scan(struct lua_scan *scan)
{
    close_scan(scan);
    scan->ended = true;
    return 0;
}

struct scan_bounds check_scan_bounds(lua_State *L)
{
    lua_Integer threads = luaL_optinteger(L, SCAN_THREADS, 0);

    return (struct scan_bounds){.first = (uint64_t)luaL_checkinteger(L, SCAN_FIRST),
                                .last = (uint64_t)luaL_checkinteger(L, SCAN_LAST),
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

struct lua_scan *new_scan(lua_State *L, enum scan_kind kind, int there)
{
    struct lua_scan *scan = lua_newuserdatauv(L, sizeof *scan, USER_VALUES);

    memset(scan, 0, sizeof *scan);
    scan->kind = kind;
    luaL_setmetatable(L, TYPE);
    scan->here = scan->there = set_memory(L, 1, HERE);
    if (there)
        scan->there = set_memory(L, there, THERE);
    lua_pushvalue(L, SCAN_PROGRESS);
    lua_setiuservalue(L, -2, PROGRESS);
    return scan;
}

void check_scan_open(lua_State *L, const struct lua_scan *scan)
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

    check_scan_open(L, scan);
    for (int i = HERE; i <= THERE; i++) /* progress, or a hook, may close them */
        if (lua_getiuservalue(L, index, i) == LUA_TUSERDATA) {
            push_dump_handle(L, lua_gettop(L));
            pin_dump(L, lua_gettop(L));
        }
    scan->unit = scan->item = scan->text_at = 0;
    while ((status = scan_step(&scan->as.scan, err)) < 0 && poll_incomplete(L, err))
        check_scan_open(L, scan);
    if (status >= 0) {
        report(L, scan, index);
        poll_interrupt(L);
        check_scan_open(L, scan);
    }
    unpin(L, top);
    return status;
}

bool step_or_raise(lua_State *L, struct lua_scan *scan)
{
    struct qvm_error err;
    int status = step(L, scan, lua_upvalueindex(1), &err);

    if (status < 0)
        raise_failure(L, &err);
    return status > 0;
}

const struct range *next_found(struct lua_scan *lua_scan, const struct scan_unit **unit)
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

struct lua_scan *upvalue_scan(lua_State *L)
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
    check_scan_open(L, scan);
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
    check_scan_open(L, scan);
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

/* Pushes the scan that find's arguments ask for. NULL: failed, and *results of that are
 * pushed instead. */
static struct lua_scan *new_find(lua_State *L, int *results)
{
    struct scan_bounds bounds = check_scan_bounds(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, SCAN_REST, &size);
    uint64_t align = (uint64_t)luaL_checkinteger(L, SCAN_REST + 1);
    struct lua_scan *scan = new_scan(L, FIND, 0);
    struct memory *memory = check_memory(L).memory;
    struct qvm_error err;

    luaL_argcheck(L, size > 0 && size <= PATTERN_SIZE_MAX, SCAN_REST, "1 byte to 1 MiB");
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
    struct scan_bounds bounds = check_scan_bounds(L);
    lua_Integer min = luaL_checkinteger(L, SCAN_REST);
    struct lua_scan *scan = new_scan(L, STRINGS, 0);
    struct memory *memory = check_memory(L).memory;
    struct qvm_error err;

    luaL_argcheck(L, min > 0 && min <= STRINGS_PART, SCAN_REST, "from 1 to 65536 bytes");
    if (!memory)
        return push_closed(L);
    if (strings_init(&scan->as.strings, memory, (size_t)min, bounds.first, bounds.last,
                     bounds.threads, &err) != 0)
        return push_failure(L, &err);
    scan->begun = true;
    return push_iterator(L, next_string);
}

void add_scans(lua_State *L)
{
    static const luaL_Reg methods[] = {{"find", method_find},
                                       {"matches", method_matches},
                                       {"strings", method_strings},
                                       {"diff", diff_memory},
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
