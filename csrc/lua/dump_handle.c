/* A handle is a userdata with a pointer to the dump, NULL once it is closed. Closing is
 * explicit (dump:close()), by __close, or by the collector.
 *
 * A finalizer, a hook or a progress function may close a dump in the middle of one of its
 * methods. So a handle counts the functions that use its dump, and has three states:
 *
 *     open       dump is set
 *     closing    dump is NULL, closing is set, pins > 0: closed for scripts, but in use
 *     closed     both are NULL
 *
 * The dump goes when the last function that uses it has ended, however it ends. To see
 * that end, each of them has a to-be-closed value on its stack; it is the same for all, the
 * handle's first user value, since making a new one would allocate. */
#include "dump_handle.h"

#include "memory.h"

static const char HANDLE[] = "qvm.dump", PIN[] = "qvm.dump.pin";

struct handle {
    struct dump *dump;    /* NULL: closed. The first member: see check_dump() */
    struct dump *closing; /* closed, but in use */
    unsigned pins;        /* functions that use it */
};

enum { PIN_VALUE = 1, PATH_VALUE, USER_VALUES = PATH_VALUE };

/* Finding ---------------------------------------------------------------------------- */

bool has_type(lua_State *L, const void *type)
{
    bool same;

    if (lua_type(L, -1) != LUA_TUSERDATA || !lua_getmetatable(L, -1))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, type);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool is_dump_handle(lua_State *L)
{
    return has_type(L, HANDLE);
}

void push_handle(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TUSERDATA) {
        lua_pushvalue(L, index);
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    lua_rawgeti(L, index, 1);
}

struct dump **check_dump(lua_State *L, int index)
{
    struct dump **handle;

    push_handle(L, index);
    luaL_argexpected(L, is_dump_handle(L), index, "Dump");
    handle = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return handle;
}

int push_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "the dump is closed");
    lua_pushstring(L, qvm_code_name(QVM_GONE));
    return 3;
}

/* Opening and closing ---------------------------------------------------------------- */

struct dump **new_handle(lua_State *L, int path)
{
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, USER_VALUES);
    struct handle **pin;

    *handle = (struct handle){.dump = NULL};
    luaL_setmetatable(L, HANDLE);
    pin = lua_newuserdatauv(L, sizeof *pin, 0);
    *pin = handle;
    luaL_setmetatable(L, PIN);
    lua_setiuservalue(L, -2, PIN_VALUE);
    lua_pushvalue(L, path);
    lua_setiuservalue(L, -2, PATH_VALUE);
    return &handle->dump;
}

static void close_handle(struct handle *handle)
{
    if (handle->dump && handle->pins > 0)
        handle->closing = handle->dump;
    else if (handle->dump)
        dump_close(handle->dump);
    handle->dump = NULL;
}

static int handle_close(lua_State *L)
{
    close_handle(luaL_checkudata(L, 1, HANDLE));
    return 0;
}

/* Nothing can use a handle that is collected: its pins were lost together with it. */
static int handle_gc(lua_State *L)
{
    struct handle *handle = luaL_checkudata(L, 1, HANDLE);

    if (handle->closing)
        dump_close(handle->closing);
    handle->closing = NULL;
    handle->pins = 0;
    close_handle(handle);
    return 0;
}

int method_close(lua_State *L)
{
    close_handle((struct handle *)check_dump(L, 1));
    return 0;
}

/* Pinning ---------------------------------------------------------------------------- */

void pin(lua_State *L, int index)
{
    push_handle(L, index);
    luaL_argexpected(L, is_dump_handle(L) || is_space_handle(L), index, "Dump or Space");
    lua_replace(L, index);
}

void pin_dump(lua_State *L, int index)
{
    struct handle *handle = luaL_checkudata(L, index, HANDLE);

    luaL_checkstack(L, 3, NULL);
    lua_getiuservalue(L, index, PIN_VALUE);
    handle->pins++;
    lua_toclose(L, -1);
}

/* lua_settop() of Lua 5.4.4 (Debian 12) must not close a value: closing may move the stack,
 * and the top is then set to where it was before. lua_closeslot() is new in Lua 5.4.3. */
void unpin(lua_State *L, int top)
{
#if LUA_VERSION_RELEASE_NUM >= 50403
    for (; lua_gettop(L) > top; lua_pop(L, 1))
        if (has_type(L, PIN))
            lua_closeslot(L, -1);
#endif
    lua_settop(L, top);
}

static int pin_close(lua_State *L)
{
    struct handle *handle = *(struct handle **)luaL_checkudata(L, 1, PIN);

    if (--handle->pins == 0 && handle->closing) {
        dump_close(handle->closing);
        handle->closing = NULL;
    }
    return 0;
}

/* Calls the method that is upvalue 1 with its Dump or Space pinned. Before that it converts
 * the address, if upvalue 2 says so: to look up a symbol is to call Lua with the Dump or
 * Space itself, not with its handle. */
static int call_pinned(lua_State *L)
{
    enum { ARGUMENTS = 8 };
    lua_CFunction method = lua_tocfunction(L, lua_upvalueindex(1));
    uint64_t address;

    if (lua_toboolean(L, lua_upvalueindex(2))) {
        if (!get_address(L, 2, &address))
            return ADDRESS_FAILURE;
        lua_pushinteger(L, (lua_Integer)address);
        lua_replace(L, 2);
    }
    pin(L, 1);
    lua_settop(L, ARGUMENTS);
    lua_pushvalue(L, 1);
    if (!is_dump_handle(L))
        lua_getiuservalue(L, 1, 1); /* a space's dump */
    pin_dump(L, lua_gettop(L));
    return method(L);
}

void add_pinned(lua_State *L, const luaL_Reg *methods, bool with_address)
{
    for (; methods->name; methods++) {
        lua_pushcfunction(L, methods->func);
        lua_pushboolean(L, with_address);
        lua_pushcclosure(L, call_pinned, 2);
        lua_setfield(L, -2, methods->name);
    }
}

/* Others ----------------------------------------------------------------------------- */

void set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

void set_u64(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

void add_handle_types(lua_State *L)
{
    static const luaL_Reg handle[] = {
        {"__gc", handle_gc}, {"__close", handle_close}, {NULL, NULL}};
    static const luaL_Reg pin[] = {{"__close", pin_close}, {NULL, NULL}};

    luaL_newmetatable(L, HANDLE);
    luaL_setfuncs(L, handle, 0);
    lua_pushboolean(L, 0); /* a script that calls __gc would free what is in use */
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, HANDLE);
    luaL_newmetatable(L, PIN);
    luaL_setfuncs(L, pin, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, PIN);
}
