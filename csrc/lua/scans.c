/* Passes over the memory of dumps: find, strings, diff. Each is a userdata behind an
 * iterator, which gives what the last step has found, and does another step when that is
 * all. A pass keeps its dumps' handles alive, and asks at every step whether they are open.
 */
#include "dump_handle.h"

#include "dump/extent.h"
#include "scan/diff.h"
#include "scan/find.h"
#include "scan/strings.h"

enum kind { FIND, STRINGS, DIFF };

enum { PATTERNS_MAX = 1 << 16 };

struct pass {
    enum kind kind;
    bool begun; /* there is something to free */
    struct dump **here, **there;
    uint64_t first, last;
    /* For progress: bytes of memory in all, those before an address. */
    bool reported;
    uint64_t total, done, counted;
    size_t unit, item; /* what is given next of the last step's results */
    size_t text_at;
    bool several;        /* patterns: their indices are given, too */
    bool kept;           /* the differing range that more may be joined to is: */
    struct result range; /* first and last address */
    int range_kind;
    bool failed; /* the last step has, with: */
    struct qvm_error err;
    union {
        struct find finder;
        struct strings strings;
        struct diff differ;
    } as;
};

static const char TYPE[] = "qvm.pass";

static int pass_gc(lua_State *L)
{
    struct pass *pass = luaL_checkudata(L, 1, TYPE);

    if (!pass->begun)
        return 0;
    pass->begun = false;
    if (pass->kind == FIND)
        find_free(&pass->as.finder);
    else if (pass->kind == STRINGS)
        strings_free(&pass->as.strings);
    else
        diff_free(&pass->as.differ);
    return 0;
}

/* Pushes a pass over the dump that is argument 1, from argument 2 to argument 3, both
 * inclusive. NULL: the dump is closed. */
static struct pass *new_pass(lua_State *L, enum kind kind)
{
    struct dump **here = check_dump(L, 1);
    struct pass *pass;

    pass = lua_newuserdatauv(L, sizeof *pass, 2);
    memset(pass, 0, sizeof *pass);
    pass->kind = kind;
    pass->here = pass->there = here;
    pass->first = (uint64_t)luaL_checkinteger(L, 2);
    pass->last = (uint64_t)luaL_checkinteger(L, 3);
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return *here ? pass : NULL; /* a finalizer may have closed it by now */
}

/* The patterns in the array at index 4, in a userdata that is pushed. Their bytes are those
 * of the strings in a copy of the array, which takes its place: scripts can change the
 * array. */
static struct pattern *get_patterns(lua_State *L, size_t count)
{
    struct pattern *patterns = lua_newuserdatauv(L, count * sizeof *patterns, 0);
    size_t total = 0;

    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 4, (lua_Integer)i + 1);
        patterns[i].bytes =
            (const unsigned char *)luaL_checklstring(L, -1, &patterns[i].size);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        luaL_argcheck(L, patterns[i].size > 0, 4, "an empty pattern is everywhere");
        luaL_argcheck(L, patterns[i].size <= MATCHER_SIZE_MAX - total, 4,
                      "patterns of more than 1 MiB");
        total += patterns[i].size;
    }
    lua_replace(L, 4);
    return patterns;
}

static struct scan *sweep_of(struct pass *pass)
{
    return pass->kind == FIND ? &pass->as.finder.scan : &pass->as.differ.scan;
}

static int do_step(struct pass *pass, struct qvm_error *err)
{
    pass->unit = pass->item = pass->text_at = 0;
    if (pass->kind == STRINGS)
        return strings_step(&pass->as.strings, err);
    return scan_step(sweep_of(pass), err);
}

static uint64_t next_address(struct pass *pass, bool *finished)
{
    const struct scan *scan = sweep_of(pass);

    if (pass->kind == STRINGS) {
        *finished = pass->as.strings.finished;
        return pass->as.strings.next;
    }
    *finished = scan->finished;
    return scan->next;
}

/* Calls progress(bytes of memory that were passed, and of all of it), if there is one. */
static void report(lua_State *L, struct pass *pass)
{
    uint64_t next;
    bool finished;

    if (lua_isnil(L, lua_upvalueindex(2)))
        return;
    if (!pass->reported) {
        pass->total = extent_total(*pass->here, pass->first, pass->last);
        pass->counted = pass->first;
        pass->reported = true;
    }
    next = next_address(pass, &finished);
    if (finished)
        pass->done = pass->total;
    else if (next > pass->counted) {
        pass->done += extent_total(*pass->here, pass->counted, next - 1);
        pass->counted = next;
    }
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushinteger(L, (lua_Integer)pass->done);
    lua_pushinteger(L, (lua_Integer)pass->total);
    lua_call(L, 2, 0);
}

/* Does some more. False: there is no more, or it failed. A failure cannot be returned from
 * inside a loop, and raises, at the loop; unless it is quiet, and `failed` is set. */
static bool step(lua_State *L, struct pass *pass, bool quiet)
{
    int top = lua_gettop(L), status;
    struct qvm_error *err = &pass->err;

    pass->failed = false;
    if (!*pass->here || !*pass->there)
        luaL_error(L, "the dump is closed");
    for (int i = 1; i <= 2; i++) /* progress, or a hook, may close them */
        if (lua_getiuservalue(L, lua_upvalueindex(1), i) == LUA_TUSERDATA)
            pin_dump(L, lua_gettop(L));
    while ((status = do_step(pass, err)) < 0) {
        if (!poll_incomplete(L, err)) {
            if (!quiet)
                raise_failure(L, err);
            pass->failed = true;
            lua_settop(L, top);
            return false;
        }
        if (!*pass->here || !*pass->there)
            luaL_error(L, "the dump is closed");
    }
    report(L, pass);
    poll_interrupt(L);
    if (!*pass->here || !*pass->there)
        luaL_error(L, "the dump is closed");
    lua_settop(L, top);
    return status > 0;
}

/* The next result of the last step. */
static const struct result *next_of_sweep(struct pass *pass, int *kind)
{
    const struct scan *scan = sweep_of(pass);

    for (; pass->unit < scan->ready; pass->unit++, pass->item = 0)
        if (pass->item < scan->units[pass->unit].results.count) {
            *kind = scan->units[pass->unit].kind;
            return &scan->units[pass->unit].results.items[pass->item++];
        }
    return NULL;
}

static struct pass *upvalue_pass(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* The iterators. Upvalues: the pass, and progress or nil. */

static int next_match(lua_State *L)
{
    struct pass *pass = upvalue_pass(L);
    const struct result *match;
    int kind;

    while (!(match = next_of_sweep(pass, &kind)))
        if (!step(L, pass, lua_toboolean(L, 1)))
            return pass->failed ? push_failure(L, &pass->err) : 0;
    lua_pushinteger(L, (lua_Integer)match->a);
    if (!pass->several)
        return 1;
    lua_pushinteger(L, (lua_Integer)match->b + 1);
    return 2;
}

static int next_string(lua_State *L)
{
    struct pass *pass = upvalue_pass(L);
    const struct strings *strings = &pass->as.strings;
    const struct result *found;
    const char *text;

    while (pass->item >= strings->found.count)
        if (!step(L, pass, false))
            return 0;
    found = &strings->found.items[pass->item++];
    text = strings->text + pass->text_at;
    pass->text_at += (size_t)found->b; /* before Lua may run anything */
    lua_pushinteger(L, (lua_Integer)found->a);
    lua_pushlstring(L, text, (size_t)found->b);
    return 2;
}

/* May what comes behind the range that is kept still be joined to it? */
static bool is_open(struct pass *pass)
{
    bool finished;
    uint64_t next = next_address(pass, &finished);

    return !pass->kept || (!finished && next == pass->range.b + 1);
}

/* The next range that the steps have found; NULL: there is no more, or none that can be
 * joined to the one that is kept. */
static const struct result *more_ranges(lua_State *L, struct pass *pass, int *kind)
{
    const struct result *more;

    while (!(more = next_of_sweep(pass, kind)) && is_open(pass))
        if (!step(L, pass, false))
            return NULL;
    return more;
}

/* Ranges that adjoin and are of one kind are one, wherever the steps have cut them. True:
 * the next one is in `range`. */
static bool next_range(lua_State *L, struct pass *pass, struct result *range, int *kind)
{
    const struct result *more;
    int more_kind = 0;

    while ((more = more_ranges(L, pass, &more_kind)) != NULL) {
        if (pass->kept && (more_kind != pass->range_kind || more->a != pass->range.b + 1))
            break;
        if (!pass->kept)
            pass->range = *more;
        pass->range.b = more->b;
        pass->range_kind = more_kind;
        pass->kept = true;
    }
    if (!pass->kept)
        return false;
    *range = pass->range;
    *kind = pass->range_kind;
    pass->kept = more != NULL;
    if (more) {
        pass->range = *more;
        pass->range_kind = more_kind;
    }
    return true;
}

static int next_difference(lua_State *L)
{
    static const char *const kinds[] = {
        [DIFF_CHANGED] = "changed", [DIFF_ONLY_HERE] = "here", [DIFF_ONLY_THERE] = "there"};
    struct pass *pass = upvalue_pass(L);
    struct result range;
    int kind;

    if (!next_range(L, pass, &range, &kind))
        return 0;
    lua_pushinteger(L, (lua_Integer)range.a);
    lua_pushinteger(L, (lua_Integer)(range.b - range.a + 1));
    lua_pushstring(L, kinds[kind]);
    return 3;
}

/* Makes the iterator of the pass on top of the stack; progress is at an index. */
static int push_iterator(lua_State *L, lua_CFunction next, int progress)
{
    if (lua_isnoneornil(L, progress))
        lua_pushnil(L);
    else
        lua_pushvalue(L, progress);
    lua_pushcclosure(L, next, 2);
    return 1;
}

/* find(dump, first, last, array of patterns, align, several, progress): an iterator over
 * address and, if `several`, the pattern's index from 1. */
static int method_find(lua_State *L)
{
    struct pattern *patterns;
    uint64_t align = (uint64_t)luaL_checkinteger(L, 5);
    struct qvm_error err;
    struct pass *pass;
    size_t count;

    luaL_checktype(L, 4, LUA_TTABLE);
    count = (size_t)lua_rawlen(L, 4);
    luaL_argcheck(L, count > 0, 4, "no pattern");
    luaL_argcheck(L, count <= PATTERNS_MAX, 4, "too many patterns");
    patterns = get_patterns(L, count);
    pass = new_pass(L, FIND);
    if (!pass)
        return push_closed(L);
    if (find_init(&pass->as.finder, *pass->here, patterns, count, pass->first, pass->last,
                  align, &err) != 0)
        return push_failure(L, &err);
    pass->begun = true;
    pass->several = lua_toboolean(L, 6);
    return push_iterator(L, next_match, 7);
}

/* strings(dump, first, last, min, progress): an iterator over address, text. */
static int method_strings(lua_State *L)
{
    lua_Integer min = luaL_checkinteger(L, 4);
    struct qvm_error err;
    struct pass *pass = new_pass(L, STRINGS);

    if (!pass)
        return push_closed(L);
    luaL_argcheck(L, min > 0 && min <= STRINGS_PART, 4, "from 1 to 65536 bytes");
    if (strings_init(&pass->as.strings, *pass->here, (size_t)min, pass->first, pass->last,
                     &err) != 0)
        return push_failure(L, &err);
    pass->begun = true;
    return push_iterator(L, next_string, 5);
}

/* diff(dump, first, last, other Dump, granularity, progress): an iterator over start, size,
 * kind. */
static int method_diff(lua_State *L)
{
    uint64_t granularity = (uint64_t)luaL_checkinteger(L, 5);
    struct qvm_error err;
    struct pass *pass;

    pin(L, 4);
    pass = new_pass(L, DIFF);
    if (!pass)
        return push_closed(L);
    pass->there = check_dump(L, 4);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, -2, 2);
    if (!*pass->there)
        return push_closed(L);
    if (diff_init(&pass->as.differ, *pass->here, *pass->there, pass->first, pass->last,
                  granularity, &err) != 0)
        return push_failure(L, &err);
    pass->begun = true;
    return push_iterator(L, next_difference, 6);
}

void add_scans(lua_State *L)
{
    static const luaL_Reg methods[] = {{"find", method_find},
                                       {"strings", method_strings},
                                       {"diff", method_diff},
                                       {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, pass_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    add_pinned(L, methods, false);
}

void add_limits(lua_State *L)
{
    lua_pushinteger(L, MATCHER_SIZE_MAX);
    lua_setfield(L, -2, "pattern_max");
    lua_pushinteger(L, PATTERNS_MAX);
    lua_setfield(L, -2, "patterns_max");
}
