/* The types of a kernel: loads them from bytes, from memory or from a file. What is loaded
 * is a userdata that owns the index, and keeps the bytes and the types that it continues.
 */
#include "btf.h"

#include "guest/btf_file.h"

static const char TYPES[] = "qvm.types";

enum { READ_AT_ONCE = 1 << 20 };

/* A finalizer may use them after theirs was called, when the state is closed. */
void check_loaded(lua_State *L, const struct types *types)
{
    for (const struct btf *btf = &types->btf; btf; btf = btf->base)
        if (!btf->offsets)
            luaL_error(L, "the types are gone");
}

struct types *check_types(lua_State *L, int index)
{
    struct types *types = luaL_checkudata(L, index, TYPES);

    check_loaded(L, types);
    return types;
}

static int types_gc(lua_State *L)
{
    struct types *types = luaL_checkudata(L, 1, TYPES);

    btf_free(&types->btf);
    return 0;
}

/* Loading --------------------------------------------------------------------------------
 */

/* Makes types of bytes, whose owner is on top of the stack; base: a stack index, or 0. */
static int load(lua_State *L, const void *bytes, size_t size, int base, const char *subject,
                unsigned pointer_size)
{
    const struct btf *base_btf = base ? &check_types(L, base)->btf : NULL;
    int owner = lua_gettop(L);
    struct types *types = lua_newuserdatauv(L, sizeof *types, 2);
    struct qvm_error err;

    memset(types, 0, sizeof *types);
    luaL_setmetatable(L, TYPES);
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, 1);
    if (base)
        lua_pushvalue(L, base);
    else
        lua_pushnil(L);
    lua_setiuservalue(L, -2, 2);
    if (btf_init(&types->btf, bytes, size, base_btf, subject, &err) != 0)
        return push_failure(L, &err);
    types->btf.pointer_size = pointer_size;
    lua_pushinteger(L, types->btf.end_id - types->btf.first_id);
    return 2;
}

static unsigned check_pointer_size(lua_State *L, int index)
{
    lua_Integer size = luaL_checkinteger(L, index);

    luaL_argcheck(L, size == 4 || size == 8, index, "4 or 8 expected");
    return (unsigned)size;
}

/* btf_of_bytes(bytes, subject, pointer size, base or nil): types, their number. */
static int core_btf_of_bytes(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    const char *subject = luaL_checkstring(L, 2);
    unsigned pointer_size = check_pointer_size(L, 3);
    int base = lua_isnoneornil(L, 4) ? 0 : 4;

    lua_settop(L, 4);
    lua_pushvalue(L, 1);
    return load(L, bytes, size, base, subject, pointer_size);
}

/* Reads memory into the buffer on top of the stack. 0, or -1; a hook may close the dump. */
static int read_memory(lua_State *L, uint64_t address, unsigned char *to, size_t size,
                       struct qvm_error *err)
{
    for (size_t done = 0, part; done < size; done += part) {
        struct opened_memory memory = check_memory(L);

        part = size - done < READ_AT_ONCE ? size - done : READ_AT_ONCE;
        for (;;) {
            if (!memory.dump)
                return qvm_fail(err, QVM_GONE, "the dump is closed");
            if (memory_read(memory.memory, address + done, to + done, part, err) == 0)
                break;
            if (!poll_incomplete(L, err))
                return -1;
            memory = check_memory(L);
        }
        poll_interrupt(L);
    }
    return 0;
}

/* btf_of_memory(memory, address, most, subject, pointer size): types, their number. Reads
 * the header, and as much as that says, at most so many bytes. */
static int core_btf_of_memory(lua_State *L)
{
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2), size;
    uint64_t most = (uint64_t)luaL_checkinteger(L, 3);
    const char *subject = luaL_checkstring(L, 4);
    unsigned pointer_size = check_pointer_size(L, 5);
    unsigned char header[BTF_HEADER_SIZE], *bytes;
    struct qvm_error err;

    lua_settop(L, 5);
    if (read_memory(L, address, header, sizeof header, &err) != 0)
        return push_failure(L, &err);
    size = btf_total_size(header);
    if (size < sizeof header || size > most || size > BTF_SIZE_MAX) {
        qvm_fail(&err, QVM_MALFORMED, "%s: no type information in the form of BTF",
                 subject);
        return push_failure(L, &err);
    }
    bytes = lua_newuserdatauv(L, (size_t)size, 0);
    if (read_memory(L, address, bytes, (size_t)size, &err) != 0)
        return push_failure(L, &err);
    return load(L, bytes, (size_t)size, 0, subject, pointer_size);
}

static int file_gc(lua_State *L)
{
    btf_file_close(lua_touserdata(L, 1));
    return 0;
}

/* btf_of_file(path): the bytes of the section .BTF of an ELF file. */
static int core_btf_of_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct btf_file *file = new_scratch(L, sizeof *file, "qvm.btf_file", file_gc);
    struct qvm_error err;
    luaL_Buffer buffer;
    size_t size;
    char *to;

    if (btf_file_open(file, path, &err) != 0)
        return push_failure(L, &err);
    size = (size_t)file->section.file_size;
    to = luaL_buffinitsize(L, &buffer, size);
    if (btf_file_read(file, to, &err) != 0)
        return push_failure(L, &err);
    luaL_pushresultsize(&buffer, size);
    btf_file_close(file);
    return 1;
}

void add_btf(lua_State *L)
{
    static const luaL_Reg functions[] = {{"btf_of_bytes", core_btf_of_bytes},
                                         {"btf_of_memory", core_btf_of_memory},
                                         {"btf_of_file", core_btf_of_file},
                                         {NULL, NULL}};

    luaL_newmetatable(L, TYPES);
    lua_pushcfunction(L, types_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0); /* a script that calls __gc would free what is in use */
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
