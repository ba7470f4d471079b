/* Address spaces: translation, walks and mappings. Scans over their memory are in scans.c.
 */
#include "memory.h"
#include "paging/mappings.h"

#include <limits.h>
#include <stdlib.h>

static const char SPACE[] = "qvm.space", MAPPINGS[] = "qvm.mappings";

bool is_space_handle(lua_State *L)
{
    return has_type(L, SPACE);
}

/* The space that is argument 1. NULL: its dump is closed. */
static struct space *check_space(lua_State *L)
{
    struct opened_memory memory = check_memory(L);

    luaL_argexpected(L, memory.space, 1, "Space");
    return memory.dump ? memory.space : NULL;
}

static uint64_t get_u64(lua_State *L, int index, const char *name)
{
    uint64_t value;

    lua_getfield(L, index, name);
    value = lua_isnil(L, -1) ? 0 : (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* A number of bits. A number that does not fit is too large in any case. */
static unsigned get_bits(lua_State *L, int index, const char *name)
{
    uint64_t value = get_u64(L, index, name);

    return value < UINT_MAX ? (unsigned)value : UINT_MAX;
}

/* Reads the description of page tables from the table at an index. */
static int get_paging(lua_State *L, int index, enum paging_kind kind, struct paging *paging,
                      struct qvm_error *err)
{
    *paging = (struct paging){.kind = kind,
                              .va_bits = get_bits(L, index, "va_bits"),
                              .page_shift = get_bits(L, index, "page_shift"),
                              .pa_bits = get_bits(L, index, "pa_bits"),
                              .root = get_u64(L, index, "root"),
                              .encryption_mask = get_u64(L, index, "encryption_mask")};
    return paging_setup(paging, err);
}

/* space(dump, kind, tables of the lower half or of all, of the upper half): the userdata.
 * Each is a table of root, va_bits, page_shift, pa_bits, encryption_mask, or nil. */
static int core_space(lua_State *L)
{
    static const char *const kinds[] = {[PAGING_X86] = "x86",
                                        [PAGING_X86_PAE] = "x86 PAE",
                                        [PAGING_X86_64] = "x86_64",
                                        [PAGING_AARCH64] = "aarch64",
                                        NULL};
    struct space_handle *handle;
    enum paging_kind kind;
    struct qvm_error err;

    pin(L, 1);
    kind = (enum paging_kind)luaL_checkoption(L, 2, NULL, kinds);
    lua_settop(L, 4);
    handle = lua_newuserdatauv(L, sizeof *handle, 1);
    memset(handle, 0, sizeof *handle);
    handle->dump = check_dump(L, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    for (int i = 0; i < SPACE_HALVES; i++) {
        handle->space.has[i] = lua_istable(L, 3 + i);
        handle->space.half[i].kind = kind;
        if (handle->space.has[i] &&
            get_paging(L, 3 + i, kind, &handle->space.half[i], &err) != 0)
            return push_failure(L, &err);
    }
    luaL_setmetatable(L, SPACE);
    if (!*handle->dump) /* a finalizer or a metamethod may have closed it by now */
        return push_closed(L);
    space_init(&handle->space, *handle->dump);
    return 1;
}

/* translate(space, address): physical address, bytes of the page, rights; or nil, message,
 * code. */
static int method_translate(lua_State *L)
{
    struct space *space = check_space(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    struct walk walk;
    struct qvm_error err;

    if (!space)
        return push_closed(L);
    while (space_resolve(space, address, &walk, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)walk.address);
    lua_pushinteger(L, (lua_Integer)walk.size);
    lua_pushinteger(L, walk.perms);
    return 3;
}

static void push_step(lua_State *L, const struct walk *walk, const struct walk_step *step)
{
    static const char *const kinds[] = {
        [ENTRY_INVALID] = "invalid", [ENTRY_TABLE] = "table", [ENTRY_LEAF] = "page"};

    lua_createtable(L, 0, 7);
    lua_pushinteger(L, walk->paging->level[step->level].number);
    lua_setfield(L, -2, "level");
    set_u64(L, "table", step->table);
    set_u64(L, "index", step->index);
    set_u64(L, "entry", step->entry);
    set_string(L, "kind", kinds[step->decoded.kind]);
    if (step->decoded.kind != ENTRY_INVALID) {
        set_u64(L, "address", step->decoded.address);
        set_u64(L, "rights", step->decoded.perms);
    }
    if (step->decoded.kind == ENTRY_LEAF)
        set_u64(L, "size", walk->size);
}

/* walk(space, address): an array of steps; and message, code where it could not go on. */
static int method_walk(lua_State *L)
{
    struct space *space = check_space(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    struct walk walk;
    struct qvm_error err;
    int status;

    if (!space)
        return push_closed(L);
    while ((status = space_walk(space, address, &walk, &err)) != 0)
        if (!poll_incomplete(L, &err))
            break;
    if (!walk.paging)
        return push_failure(L, &err);
    lua_createtable(L, (int)walk.count, 0);
    for (unsigned i = 0; i < walk.count; i++) {
        push_step(L, &walk, &walk.steps[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    if (status == 0)
        return 1;
    push_failure(L, &err);
    lua_remove(L, -3); /* its nil */
    return 3;
}

/* The state of an iterator over mappings; its user value is the space's handle. */
struct lua_mappings {
    bool begun; /* there is something to free */
    struct space_handle *handle;
    struct mappings mappings;
};

static int mappings_close(lua_State *L)
{
    struct lua_mappings *state = luaL_checkudata(L, 1, MAPPINGS);

    if (state->begun)
        mappings_free(&state->mappings);
    state->begun = false;
    return 0;
}

static void check_usable(lua_State *L, const struct lua_mappings *state)
{
    if (!*state->handle->dump)
        luaL_error(L, "the dump is closed");
    if (!state->begun)
        luaL_error(L, "the loop over this iterator has ended");
}

static int next_mapping(lua_State *L)
{
    struct lua_mappings *state = lua_touserdata(L, lua_upvalueindex(1));
    struct mapping mapping;
    struct qvm_error err;
    int found;

    check_usable(L, state);
    lua_getiuservalue(L, lua_upvalueindex(1), 1);
    lua_getiuservalue(L, -1, 1);
    pin_dump(L, lua_gettop(L));
    while ((found = mappings_next(&state->mappings, &mapping, &err)) < 0) {
        if (!poll_incomplete(L, &err))
            raise_failure(L, &err);
        check_usable(L, state);
    }
    if (found == 0)
        return 0;
    lua_pushinteger(L, (lua_Integer)mapping.first);
    lua_pushinteger(L, (lua_Integer)(mapping.last - mapping.first + 1));
    lua_pushinteger(L, mapping.perms);
    return 3;
}

/* mappings(space, first, last): an iterator over start, size, rights. */
static int method_mappings(lua_State *L)
{
    struct space *space = check_space(L);
    uint64_t first = (uint64_t)luaL_checkinteger(L, 2);
    uint64_t last = (uint64_t)luaL_checkinteger(L, 3);
    struct lua_mappings *state;
    struct qvm_error err;

    if (!space)
        return push_closed(L);
    state = lua_newuserdatauv(L, sizeof *state, 1);
    memset(state, 0, sizeof *state);
    state->handle = lua_touserdata(L, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, MAPPINGS);
    if (mappings_init(&state->mappings, space, first, last, &err) != 0)
        return push_failure(L, &err);
    state->begun = true;
    return push_iterator(L, next_mapping);
}

void add_spaces(lua_State *L)
{
    static const luaL_Reg methods[] = {{"translate", method_translate},
                                       {"walk", method_walk},
                                       {"mappings", method_mappings},
                                       {NULL, NULL}};

    luaL_newmetatable(L, SPACE);
    lua_rawsetp(L, LUA_REGISTRYINDEX, SPACE);
    new_iterator_type(L, MAPPINGS, mappings_close);
    lua_newtable(L);
    add_pinned(L, methods, false);
    add_scans(L);
    lua_setfield(L, -2, "space_methods");
    lua_pushcfunction(L, core_space);
    lua_setfield(L, -2, "space");
}
