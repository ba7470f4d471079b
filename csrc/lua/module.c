/* The module qvm.core, and what all of its files use: failures, hooks, userdata that own
 * what the core allocates. luaopen_qvm_core is the only symbol that the shared object
 * exports. */
#include "binding.h"
#include "btf.h"

#include <string.h>

#if defined(__GNUC__)
#    define EXPORT __attribute__((visibility("default")))
#else
#    define EXPORT
#endif

/* The position is that of the Lua code that has called the C function. */
int raise_failure(lua_State *L, const struct qvm_error *err)
{
    char message[QVM_MESSAGE_SIZE];

    qvm_error_text(err, message, sizeof message);
    return luaL_error(L, "%s", message);
}

/* A path may hold anything, so the message is escaped: it may end on a terminal. */
int push_failure(lua_State *L, const struct qvm_error *err)
{
    char message[QVM_MESSAGE_SIZE];
    size_t size;

    if (err->code == QVM_NO_MEMORY)
        return raise_failure(L, err);
    size = qvm_error_text(err, message, sizeof message);
    lua_pushnil(L);
    push_escaped(L, message, size, false);
    lua_pushstring(L, qvm_code_name(err->code));
    return 3;
}

/* What poll_interrupt() calls: hooks run at calls, even of this. */
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
    luaL_newmetatable(L, type); /* a failure may have left it without __gc: see below */
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return scratch;
}

void new_iterator_type(lua_State *L, const char *type, lua_CFunction close)
{
    luaL_newmetatable(L, type);
    /* Also if the type exists: an earlier call may have run out of memory in between. */
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0); /* scripts see the state */
    lua_setfield(L, -2, "__metatable");
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
    add_types(L);
    add_objects(L);
    add_directories(L);
    add_dump(L);
    add_files(L);
    add_kallsyms(L);
    add_orc(L);
    add_slog2(L);
    add_symbols(L);
    add_terminal(L);
    add_text(L);
    add_vm(L);
    add_vm_query(L);
    add_dir_watch(L);
    return 1;
}
