/* Dumps: opening, vCPUs, reading. */
#include "dump_handle.h"
#include "memory.h"
#include "util/bytes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char TYPE[] = "qvm.dump", USER[] = "qvm.dump.user";

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
    return has_type(L, TYPE);
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

void pin(lua_State *L, int index)
{
    push_handle(L, index);
    luaL_argexpected(L, is_dump_handle(L) || is_space_handle(L), index, "Dump or Space");
    lua_replace(L, index);
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

/* A handle. A finalizer, a hook or a progress function may close the dump in the middle of
 * one of its methods: then it goes when the last of them has ended. */
struct handle {
    struct dump *dump;    /* NULL: closed */
    struct dump *closing; /* closed, but in use */
    unsigned users;
};

static void close_handle(struct handle *handle)
{
    if (handle->dump && handle->users > 0)
        handle->closing = handle->dump;
    else if (handle->dump)
        dump_close(handle->dump);
    handle->dump = NULL;
}

static int handle_close(lua_State *L)
{
    close_handle(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static int handle_gc(lua_State *L)
{
    struct handle *handle = luaL_checkudata(L, 1, TYPE);

    if (handle->closing)
        dump_close(handle->closing);
    handle->closing = NULL;
    handle->users = 0;
    close_handle(handle);
    return 0;
}

static int method_close(lua_State *L)
{
    close_handle((struct handle *)check_dump(L, 1));
    return 0;
}

/* A user of a handle, to be closed: its one value is the handle. */
static int user_close(lua_State *L)
{
    struct handle *handle = *(struct handle **)luaL_checkudata(L, 1, USER);

    if (--handle->users == 0 && handle->closing) {
        dump_close(handle->closing);
        handle->closing = NULL;
    }
    return 0;
}

void pin_dump(lua_State *L, int index)
{
    struct handle *handle = luaL_checkudata(L, index, TYPE);

    luaL_checkstack(L, 3, NULL);
    lua_getiuservalue(L, index, 1);
    handle->users++;
    lua_toclose(L, -1);
}

/* Pushes a closed handle. Its user values: the user, and the path at a stack index, which
 * the dump and its errors refer to. */
static void new_handle(lua_State *L, int path)
{
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 2);
    struct handle **user;

    *handle = (struct handle){.dump = NULL};
    luaL_setmetatable(L, TYPE);
    user = lua_newuserdatauv(L, sizeof *user, 0);
    *user = handle;
    luaL_setmetatable(L, USER);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, path);
    lua_setiuservalue(L, -2, 2);
}

/* Calls a method that may call Lua, by allocating or otherwise, while it uses the dump. An
 * address is found first: for a symbol that calls Lua with the Dump or Space itself. */
static int held(lua_State *L)
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
        lua_getiuservalue(L, 1, 1);
    pin_dump(L, lua_gettop(L));
    return method(L);
}

void add_pinned(lua_State *L, const luaL_Reg *methods, bool with_address)
{
    for (; methods->name; methods++) {
        lua_pushcfunction(L, methods->func);
        lua_pushboolean(L, with_address);
        lua_pushcclosure(L, held, 2);
        lua_setfield(L, -2, methods->name);
    }
}

static int method_is_open(lua_State *L)
{
    lua_pushboolean(L, *check_dump(L, 1) != NULL);
    return 1;
}

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

static void push_machine(lua_State *L, const struct dump *dump)
{
    const char *name = dump_machine(dump);

    if (name)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "machine %d", (int)dump->elf.machine);
}

/* What is odd about the dump, though it can be read: an array of texts. */
static void push_warnings(lua_State *L, const struct dump *dump)
{
    char text[DUMP_WARNING_SIZE];

    lua_newtable(L);
    for (unsigned i = 0; dump_warning(dump, i, text); i++) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_dump_table(lua_State *L, const struct dump *dump)
{
    lua_createtable(L, 1, 10);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    set_string(L, "path", dump->file.path);
    set_string(L, "format", dump_format_name(dump));
    push_machine(L, dump);
    lua_setfield(L, -2, "machine");
    set_u64(L, "bits", dump->elf.bits);
    set_string(L, "byteorder", dump->elf.big_endian ? "big" : "little");
    set_u64(L, "size", dump->file.size);
    lua_pushboolean(L, dump_is_whole(dump));
    lua_setfield(L, -2, "complete");
    push_warnings(L, dump);
    lua_setfield(L, -2, "warnings");
}

/* Calls progress(bytes unpacked), if that is a function, at the stack index. */
static void call_progress(lua_State *L, int index, const struct dump *dump)
{
    if (lua_isnil(L, index))
        return;
    lua_pushvalue(L, index);
    lua_pushinteger(L, (lua_Integer)image_file_bytes_unpacked(&dump->file));
    lua_call(L, 1, 0);
}

/* open(path, partial, progress or nil [, file]): a table with the dump's fields. A file of
 * open_file is opened in place of the path. */
static int core_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int fd = lua_isnoneornil(L, 4) ? -1 : check_file(L, 4);
    bool partial = lua_toboolean(L, 2);
    struct dump **handle;
    struct qvm_error err;

    lua_settop(L, 4);
    new_handle(L, 1);
    handle = lua_touserdata(L, -1);
    *handle =
        fd < 0 ? dump_open(path, partial, &err) : dump_open_fd(fd, path, partial, &err);
    if (!*handle)
        return push_failure(L, &err);
    while (dump_load(*handle, &err) != 0) {
        if (err.code !=
            QVM_INCOMPLETE) { /* its file is not left to the garbage collector */
            dump_close(*handle);
            *handle = NULL;
            return push_failure(L, &err);
        }
        poll_incomplete(L, &err);
        call_progress(L, 3, *handle);
    }
    push_dump_table(L, *handle);
    return 1;
}

/* range(dump, position): start, size, the next range's position; nothing after the last
 * range. The first position is 0. */
static int method_range(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    lua_Integer position = luaL_checkinteger(L, 2);
    uint64_t first, last;
    size_t index;

    if (!dump)
        return push_closed(L);
    index = position < 0 ? SIZE_MAX : (size_t)position;
    if (!memory_map_next(&dump->map, &index, &first, &last))
        return 0;
    lua_pushinteger(L, (lua_Integer)first);
    lua_pushinteger(L, (lua_Integer)(last - first + 1));
    lua_pushinteger(L, (lua_Integer)index);
    return 3;
}

static int method_vcpu_count(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);

    if (!dump)
        return push_closed(L);
    lua_pushinteger(L, dump_vcpu_count(dump));
    return 1;
}

static void push_fields(lua_State *L, const struct register_field *fields, size_t count,
                        const unsigned char *data, bool big_endian)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++)
        set_u64(L, fields[i].name,
                bytes_get(data + fields[i].offset, fields[i].size, big_endian));
}

static void push_names(lua_State *L, const struct register_field *fields, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, fields[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_vcpu(lua_State *L, const struct vcpu *vcpu, unsigned index,
                      bool big_endian)
{
    const struct register_set *set = vcpu->set;

    lua_createtable(L, 0, 9);
    set_u64(L, "index", index);
    set_u64(L, "cpunum", vcpu->cpunum);
    set_string(L, "process", vcpu->process);
    set_u64(L, "pgtbl", vcpu->pgtbl);
    push_fields(L, set->fields, set->count, vcpu->registers, big_endian);
    lua_getfield(L, -1, set->fields[set->pc].name);
    lua_setfield(L, -3, "pc");
    lua_getfield(L, -1, set->fields[set->sp].name);
    lua_setfield(L, -3, "sp");
    lua_setfield(L, -2, "regs");
    push_fields(L, vcpu->extra_fields, vcpu->extra_count, vcpu->extra, big_endian);
    lua_setfield(L, -2, "extra");
    lua_pushlstring(L, (const char *)vcpu->extra, vcpu->extra_size);
    lua_setfield(L, -2, "extra_bytes");
}

static int vcpu_gc(lua_State *L)
{
    vcpu_free(lua_touserdata(L, 1));
    return 0;
}

/* vcpu(dump, index from 0): a table, the names of its registers in the architecture's order
 * and those of its extra ones in the dump's; nothing behind the last. */
static int method_vcpu(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2), count;
    struct vcpu *vcpu;
    struct qvm_error err;

    if (!dump)
        return push_closed(L);
    count = (lua_Integer)dump_vcpu_count(dump) + (lua_Integer)dump_vcpus_lost(dump);
    if (index < 0 || index >= count)
        return 0;
    vcpu = new_scratch(L, sizeof *vcpu, "qvm.vcpu", vcpu_gc);
    while (dump_read_vcpu(dump, (unsigned)index, vcpu, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    push_vcpu(L, vcpu, (unsigned)index, dump->elf.big_endian);
    push_names(L, vcpu->set->fields, vcpu->set->count);
    push_names(L, vcpu->extra_fields, vcpu->extra_count);
    vcpu_free(vcpu);
    return 3;
}

struct text {
    char *bytes;
    size_t size;
};

static int text_gc(lua_State *L)
{
    struct text *text = lua_touserdata(L, 1);

    free(text->bytes);
    text->bytes = NULL;
    return 0;
}

/* log(dump): the text the dump carries, or nil. */
static int method_log(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    struct text *text;
    struct qvm_error err;

    if (!dump)
        return push_closed(L);
    text = new_scratch(L, sizeof *text, "qvm.dumptext", text_gc);
    while (dump_read_log(dump, &text->bytes, &text->size, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    if (text->bytes)
        lua_pushlstring(L, text->bytes, text->size);
    else
        lua_pushnil(L);
    return 1;
}

void add_dump(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", handle_gc}, {"__close", handle_close}, {NULL, NULL}};
    static const luaL_Reg user[] = {{"__close", user_close}, {NULL, NULL}};
    static const luaL_Reg plain[] = {{"close", method_close},
                                     {"is_open", method_is_open},
                                     {"range", method_range},
                                     {"vcpu_count", method_vcpu_count},
                                     {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"vcpu", method_vcpu}, {"log", method_log}, {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0); /* a script that calls __gc would free what is in use */
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, TYPE);
    luaL_newmetatable(L, USER);
    luaL_setfuncs(L, user, 0);
    lua_pop(L, 1);
    luaL_newlib(L, plain);
    add_pinned(L, methods, false);
    add_elf_parts(L);
    add_values(L);
    add_scans(L);
    lua_setfield(L, -2, "dump");
    add_spaces(L);
    add_addresses(L);
    add_limits(L);
    lua_pushcfunction(L, core_open);
    lua_setfield(L, -2, "open");
}
