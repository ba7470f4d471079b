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
        left = dump_reach(space->dump, physical, left < n - reached ? left : n - reached);
        if (left == 0)
            break;
        reached += left;
    }
    return reached;
}

uint64_t memory_reach(const struct memory *memory, uint64_t address, uint64_t n)
{
    return memory->space ? space_reach(memory->space, address, n)
                         : dump_reach(memory->dump, address, n);
}
