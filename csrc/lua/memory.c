#include "memory.h"

struct memory check_memory(lua_State *L)
{
    struct memory memory = {NULL, NULL};
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

int memory_read(const struct memory *memory, uint64_t address, void *to, size_t n,
                struct qvm_error *err)
{
    return memory->space ? space_read(memory->space, address, to, n, err)
                         : dump_read(memory->dump, address, to, n, err);
}

/* Whether the pages are in the dump the read will tell. */
static uint64_t space_reach(struct space *space, uint64_t address, uint64_t n)
{
    uint64_t reached = 0, physical, left;
    struct qvm_error err;

    while (reached < n && address <= UINT64_MAX - reached) {
        if (space_translate(space, address + reached, &physical, &left, &err) != 0)
            break;
        left =
            dump_contiguous(space->dump, physical, left < n - reached ? left : n - reached);
        if (left == 0)
            break;
        reached += left;
    }
    return reached;
}

uint64_t memory_contiguous(const struct memory *memory, uint64_t address, uint64_t n)
{
    return memory->space ? space_reach(memory->space, address, n)
                         : dump_contiguous(memory->dump, address, n);
}
