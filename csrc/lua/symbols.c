/* Symbol tables of ELF files. A kernel has a quarter of a million symbols, so they are not
 * returned one by one but appended to arrays of the caller, some thousands for each call.
 * Hooks run between the calls. */
#include "binding.h"
#include "dump/elf_symbols.h"
#include "dump/registers.h"

#include <string.h>

static const char TYPE[] = "qvm.symbol_file";

/* Limits of one call of next_symbols: symbols, bytes of their names, entries of the table.
 */
enum { SYMBOLS = 4096, NAME_BYTES = 1 << 18, ENTRIES = 1 << 16 };

struct symbol_file {
    struct elf_symbols symbols;
    struct elf_symbol symbol;
};

/* Also __close: may run twice. */
static int symbol_file_gc(lua_State *L)
{
    struct symbol_file *file = luaL_checkudata(L, 1, TYPE);

    elf_symbols_close(&file->symbols);
    return 0;
}

/* Pushes a table of what is known of the file: machine, build_id (bytes, or nil). */
static void push_about(lua_State *L, struct elf_symbols *symbols)
{
    const struct register_set *set = registers_of(symbols->elf.machine);
    unsigned char id[ELF_BUILD_ID_MAX];
    size_t size = elf_symbols_build_id(symbols, id);

    lua_createtable(L, 0, 2);
    if (set)
        lua_pushstring(L, set->name);
    else
        lua_pushfstring(L, "machine %d", (int)symbols->elf.machine);
    lua_setfield(L, -2, "machine");
    if (size > 0) {
        lua_pushlstring(L, (const char *)id, size);
        lua_setfield(L, -2, "build_id");
    }
}

/* open_symbols(path): a userdata, to be closed, and what is known of the file. */
static int core_open_symbols(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct symbol_file *file = lua_newuserdatauv(L, sizeof *file, 1);
    struct qvm_error err;

    file->symbols.is_open = false;
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, 1); /* the file and its errors refer to the path */
    lua_setiuservalue(L, -2, 1);
    if (elf_symbols_open(&file->symbols, path, &err) != 0)
        return push_failure(L, &err);
    push_about(L, &file->symbols);
    return 2;
}

static void append_integer(lua_State *L, int table, lua_Integer index, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_rawseti(L, table, index);
}

/* next_symbols(file, addresses, names, sizes): appends some symbols to these arrays, and
 * returns the bytes of their names and the number of symbols skipped so far; nothing at the
 * end; nil, message, code. */
static int core_next_symbols(lua_State *L)
{
    struct symbol_file *file = luaL_checkudata(L, 1, TYPE);
    struct elf_symbol *symbol = &file->symbol;
    unsigned budget = ENTRIES;
    lua_Integer count, from, bytes = 0;
    struct qvm_error err;
    int found = 0;

    for (int i = 2; i <= 4; i++)
        luaL_checktype(L, i, LUA_TTABLE);
    luaL_argcheck(L, file->symbols.is_open, 1, "closed");
    count = from = (lua_Integer)lua_rawlen(L, 3);
    poll_interrupt(L);
    if (!file->symbols.is_open)
        return luaL_argerror(L, 1, "closed");
    while (count - from < SYMBOLS && bytes < NAME_BYTES &&
           (found = elf_symbols_next(&file->symbols, symbol, &budget, &err)) == 1) {
        count++;
        bytes += (lua_Integer)symbol->name_size;
        append_integer(L, 2, count, symbol->value);
        lua_pushlstring(L, symbol->name, symbol->name_size);
        lua_rawseti(L, 3, count);
        append_integer(L, 4, count, symbol->size);
    }
    if (found < 0)
        return push_failure(L, &err);
    if (found == 0 && budget > 0 && count == from)
        return 0;
    lua_pushinteger(L, bytes);
    lua_pushinteger(L, (lua_Integer)file->symbols.skipped);
    return 2;
}

void add_symbols(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", symbol_file_gc}, {"__close", symbol_file_gc}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open_symbols", core_open_symbols},
                                         {"next_symbols", core_next_symbols},
                                         {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
