/* The kernel's own table of symbols: read from an address space, then looked up. */
#include "guest/kallsyms_reader.h"
#include "memory.h"

static const char TYPE[] = "qvm.kallsyms", READER[] = "qvm.kallsyms_reader";

static struct kallsyms *check_table(lua_State *L)
{
    return *(struct kallsyms **)luaL_checkudata(L, 1, TYPE);
}

static int table_gc(lua_State *L)
{
    struct kallsyms **table = luaL_checkudata(L, 1, TYPE);

    kallsyms_free(*table);
    *table = NULL;
    return 0;
}

static int reader_gc(lua_State *L)
{
    kallsyms_reader_free(luaL_checkudata(L, 1, READER));
    return 0;
}

/* table:at(address): name, offset, size of the symbol that contains it; or nil. */
static int method_at(lua_State *L)
{
    const struct kallsyms *table = check_table(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    char name[KALLSYMS_NAME_MAX];
    struct kallsyms_place place;

    if (!table || !kallsyms_at(table, address, &place)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, name, kallsyms_name(table, table->symbols[place.index].name, name));
    lua_pushinteger(L, place.offset);
    lua_pushinteger(L, place.size);
    return 3;
}

/* table:address(name): the lowest one; or nil. */
static int method_address(lua_State *L)
{
    const struct kallsyms *table = check_table(L);
    size_t size;
    const char *name = luaL_checklstring(L, 2, &size);
    uint64_t address;

    if (table && kallsyms_address(table, name, size, &address))
        lua_pushinteger(L, (lua_Integer)address);
    else
        lua_pushnil(L);
    return 1;
}

/* table:get(index from 0): name, address, size (0: unknown); nothing after the last. */
static int method_get(lua_State *L)
{
    const struct kallsyms *table = check_table(L);
    lua_Integer index = luaL_checkinteger(L, 2);
    char name[KALLSYMS_NAME_MAX];

    if (!table || index < 0 || (uint64_t)index >= table->count)
        return 0;
    lua_pushlstring(L, name, kallsyms_name(table, table->symbols[index].name, name));
    lua_pushinteger(L, (lua_Integer)table->symbols[index].address);
    lua_pushinteger(L, (lua_Integer)kallsyms_size(table, (size_t)index));
    return 3;
}

/* Reads an address from a field of the table at index 2. False: it has none. */
static bool get_location(lua_State *L, const char *name, uint64_t *address)
{
    bool is_there = lua_getfield(L, 2, name) != LUA_TNIL;

    *address = is_there ? (uint64_t)luaL_checkinteger(L, -1) : 0;
    lua_pop(L, 1);
    return is_there;
}

static struct kallsyms_location check_location(lua_State *L)
{
    struct kallsyms_location location;

    luaL_checktype(L, 2, LUA_TTABLE);
    get_location(L, "kallsyms_names", &location.names);
    get_location(L, "kallsyms_num_syms", &location.num_syms);
    get_location(L, "kallsyms_token_table", &location.token_table);
    get_location(L, "kallsyms_token_index", &location.token_index);
    get_location(L, "_stext", &location.stext);
    location.has_offsets = get_location(L, "kallsyms_offsets", &location.offsets);
    location.has_addresses = get_location(L, "kallsyms_addresses", &location.addresses);
    location.has_relative_base =
        get_location(L, "kallsyms_relative_base", &location.relative_base);
    return location;
}

/* kallsyms(space, addresses by name): the table and its number of symbols; or nil, message,
 * code. */
static int core_kallsyms(lua_State *L)
{
    struct kallsyms_location location = check_location(L);
    struct kallsyms **table = lua_newuserdatauv(L, sizeof *table, 0);
    struct kallsyms_reader *reader;
    struct opened_memory memory;
    struct qvm_error err;

    *table = NULL;
    luaL_setmetatable(L, TYPE);
    reader = new_scratch(L, sizeof *reader, READER, reader_gc);
    memory = check_memory(L);
    luaL_argexpected(L, memory.space, 1, "Space");
    if (!memory.dump)
        return push_closed(L);
    if (kallsyms_reader_init(reader, memory.space, &location, &err) != 0)
        return push_failure(L, &err);
    while (kallsyms_read(reader, &err) != 0)
        if (!poll_incomplete(L, &err)) {
            kallsyms_reader_free(reader);
            return push_failure(L, &err);
        }
    *table = reader->table;
    reader->table = NULL;
    kallsyms_reader_free(reader);
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)(*table)->count);
    return 2;
}

void add_kallsyms(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__gc", table_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"at", method_at}, {"address", method_address}, {"get", method_get}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"kallsyms", core_kallsyms}, {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    add_pinned(L, functions, false);
}
