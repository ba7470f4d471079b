/* Binds host/dir_watch.h: waiting for a file in a directory. A watch is a userdata that
 * contains a pointer, NULL once it is closed. */
#include "host/dir_watch.h"
#include "binding.h"

static const char TYPE[] = "qvm.dir_watch";

static struct dir_watch **check_watch(lua_State *L)
{
    struct dir_watch **watch = luaL_checkudata(L, 1, TYPE);

    luaL_argcheck(L, *watch, 1, "closed");
    return watch;
}

static int watch_close(lua_State *L)
{
    struct dir_watch **watch = luaL_checkudata(L, 1, TYPE);

    if (*watch)
        dir_watch_close(*watch);
    *watch = NULL;
    return 0;
}

/* watch:wait(milliseconds). Returns
 * - the name of a file, if its writer has closed it;
 * - true and the name of a new file, or nil, if anything else has changed;
 * - false, if nothing has. */
static int watch_wait(lua_State *L)
{
    struct dir_watch *watch = *check_watch(L);
    lua_Integer milliseconds = luaL_checkinteger(L, 2);
    const char *name = NULL;
    enum dir_watch_event event = dir_watch_wait(watch, milliseconds, &name);

    if (event != DIR_WATCH_CLOSED)
        lua_pushboolean(L, event == DIR_WATCH_CHANGED);
    if (event == DIR_WATCH_NOTHING)
        return 1;
    lua_pushstring(L, name); /* nil for NULL */
    return event == DIR_WATCH_CLOSED ? 1 : 2;
}

/* watch:sees_close(): whether wait reports every file that is closed. */
static int watch_sees_close(lua_State *L)
{
    lua_pushboolean(L, dir_watch_sees_close(*check_watch(L)));
    return 1;
}

/* watch(directory): a new watch. */
static int core_watch(lua_State *L)
{
    const char *directory = luaL_checkstring(L, 1);
    struct dir_watch **watch = lua_newuserdatauv(L, sizeof *watch, 0);
    struct qvm_error err;

    *watch = NULL;
    luaL_setmetatable(L, TYPE);
    *watch = dir_watch_open(directory, &err);
    return *watch ? 1 : push_failure(L, &err);
}

void add_dir_watch(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"wait", watch_wait}, {"sees_close", watch_sees_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", watch_close}, {"__close", watch_close}, {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_watch);
    lua_setfield(L, -2, "watch");
}
