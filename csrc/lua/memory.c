/* From arguments to memory and addresses. A Dump and a Space are both memory, so the
 * functions that read take either. Both also take symbols as addresses, which the Lua layer
 * looks up: it registers a function for that once (resolve_with). */
#include "memory.h"

/* The handle's own metatable says which of the two it is. */
struct opened_memory check_memory(lua_State *L)
{
    struct opened_memory memory = {NULL, NULL, NULL};
    struct space_handle *handle;

    push_handle(L, 1);
    if (is_dump_handle(L)) {
        memory.dump = *(struct dump **)lua_touserdata(L, -1);
    } else {
        luaL_argexpected(L, is_space_handle(L), 1, "Dump or Space");
        handle = lua_touserdata(L, -1);
        memory.dump = *handle->dump;
        memory.space = &handle->space;
    }
    if (memory.dump)
        memory.memory = memory.space ? &memory.space->memory : &memory.dump->memory;
    lua_pop(L, 1);
    return memory;
}

static const char RESOLVER[] = "qvm.resolver";

bool get_address(lua_State *L, int index, uint64_t *address)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        *address = (uint64_t)luaL_checkinteger(L, index);
        return true;
    }
    check_memory(L);
    luaL_checkstack(L, 5, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, RESOLVER);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, index);
    lua_call(L, 2, ADDRESS_FAILURE);
    if (!lua_isinteger(L, -ADDRESS_FAILURE))
        return false;
    *address = (uint64_t)lua_tointeger(L, -ADDRESS_FAILURE);
    lua_pop(L, ADDRESS_FAILURE);
    return true;
}

/* resolve_with(function): see add_addresses. */
static int core_resolve_with(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, RESOLVER);
    return 0;
}

void add_addresses(lua_State *L)
{
    lua_pushcfunction(L, core_resolve_with);
    lua_setfield(L, -2, "resolve_with");
}
