/* The scan for what differs between two dumps. The core finds ranges unit by unit; here
 * those that adjoin become one. So the last range is kept back until it is known what
 * follows it. */
#include "scans.h"

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
    check_scan_open(L, scan);
    if (!next_range(L, scan, &range, &kind))
        return end_scan(scan);
    lua_pushinteger(L, (lua_Integer)range.first);
    lua_pushinteger(L, (lua_Integer)(range.last - range.first + 1));
    lua_pushstring(L, kinds[kind]);
    return 3;
}

int diff_memory(lua_State *L)
{
    struct scan_bounds bounds = check_scan_bounds(L);
    uint64_t granularity = (uint64_t)luaL_checkinteger(L, SCAN_REST + 1);
    struct qvm_error err;
    struct lua_scan *scan;

    pin(L, SCAN_REST);
    check_dump(L, 1);
    check_dump(L, SCAN_REST);
    scan = new_scan(L, DIFF, SCAN_REST);
    if (!*scan->here || !*scan->there)
        return push_closed(L);
    if (diff_init(&scan->as.diff, &(*scan->here)->memory, &(*scan->there)->memory,
                  bounds.first, bounds.last, granularity, bounds.threads, &err) != 0)
        return push_failure(L, &err);
    scan->begun = true;
    return push_iterator(L, next_difference);
}
