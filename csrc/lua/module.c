#include "btf.h"

#include <string.h>

#if defined(__GNUC__)
#    define EXPORT __attribute__((visibility("default")))
#else
#    define EXPORT
#endif

int push_failure(lua_State *L, const struct qvm_error *err)
{
    if (err->code == QVM_NO_MEMORY)
        return luaL_error(L, "%s", err->message);
    lua_pushnil(L);
    push_escaped(L, err->message, strlen(err->message), false);
    lua_pushstring(L, qvm_code_name(err->code));
    return 3;
}

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

void poll_interrupt(lua_State *L)
{
    luaL_checkstack(L, 1, NULL);
    lua_pushcfunction(L, nothing);
    lua_call(L, 0, 0);
}

bool poll_incomplete(lua_State *L, const struct qvm_error *err)
{
    if (err->code != QVM_INCOMPLETE)
        return false;
    poll_interrupt(L);
    return true;
}

void *new_scratch(lua_State *L, size_t size, const char *type, lua_CFunction gc)
{
    void *scratch = lua_newuserdatauv(L, size, 0);

    memset(scratch, 0, size);
    if (luaL_newmetatable(L, type)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return scratch;
}

void new_iterator_type(lua_State *L, const char *type, lua_CFunction close)
{
    if (luaL_newmetatable(L, type)) {
        lua_pushcfunction(L, close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, close);
        lua_setfield(L, -2, "__close");
        lua_pushboolean(L, 0); /* scripts see the state */
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

int push_iterator(lua_State *L, lua_CFunction next)
{
    int state = lua_gettop(L);

    lua_pushvalue(L, state);
    lua_pushcclosure(L, next, 1);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, state);
    return 4;
}

EXPORT int luaopen_qvm_core(lua_State *L);

EXPORT int luaopen_qvm_core(lua_State *L)
{
    lua_newtable(L);
    add_json(L);
    add_btf(L);
    add_objects(L);
    add_dump(L);
    add_files(L);
    add_slog2(L);
    add_symbols(L);
    add_terminal(L);
    add_text(L);
    add_vm(L);
    add_dir_watch(L);
    return 1;
}
