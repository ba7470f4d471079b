/* Dumps: opening, and what they say of themselves. Their memory, vCPUs and ELF headers are
 * in values.c, scans.c, vcpu.c and elf_parts.c. */
#include "dump_handle.h"
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>

static int method_is_open(lua_State *L)
{
    lua_pushboolean(L, *check_dump(L, 1) != NULL);
    return 1;
}

static void push_machine(lua_State *L, const struct dump *dump)
{
    const char *name = dump_machine(dump);

    if (name)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "machine %d", (int)dump->elf.machine);
}

/* Pushes an array of texts: what is odd about the dump, though it can be read. */
static void push_warnings(lua_State *L, const struct dump *dump)
{
    char text[DUMP_WARNING_SIZE];

    lua_newtable(L);
    for (unsigned i = 0; dump_warning(dump, i, text); i++) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* Pushes the table that becomes a Dump, with the handle that is on top of the stack. */
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

/* Calls progress(bytes unpacked), the function at a stack index, unless it is nil. */
static void call_progress(lua_State *L, int index, const struct dump *dump)
{
    if (lua_isnil(L, index))
        return;
    lua_pushvalue(L, index);
    lua_pushinteger(L, (lua_Integer)image_file_bytes_unpacked(&dump->file));
    lua_call(L, 1, 0);
}

/* Arguments of open(). */
struct opening {
    const char *path;
    bool partial;
    int fd;            /* -1: the path is opened */
    const char *index; /* path, or NULL */
};

/* What became of the index that open() was given. */
struct index_use {
    bool is_used, is_refused; /* neither: the dump needs none, or none was given */
    struct qvm_error error;   /* why it is refused */
};

/* Opens a dump into a handle that is at the stack's top, and pins it: progress and hooks
 * may close it. 0, or -1. */
static int load(lua_State *L, struct dump **handle, const struct opening *opening,
                struct index_use *index, struct qvm_error *err)
{
    struct dump *dump;
    int used = 0;

    *handle = dump = opening->fd < 0
                         ? dump_open(opening->path, opening->partial, err)
                         : dump_open_fd(opening->fd, opening->path, opening->partial, err);
    if (!dump)
        return -1;
    pin_dump(L, lua_gettop(L));
    if (opening->index)
        used = image_file_use_index(&dump->file, opening->index, &index->error);
    index->is_used = used > 0;
    index->is_refused = used < 0;
    while (dump_load(dump, err) != 0) {
        if (!poll_incomplete(L, err))
            return -1;
        call_progress(L, 3, dump);
    }
    return 0;
}

/* Pushes a handle and opens a dump into it. A dump that cannot be loaded is closed at once:
 * its descriptor is not left to the collector. NULL: failed. */
static struct dump **open_handle(lua_State *L, const struct opening *opening,
                                 struct index_use *index, struct qvm_error *err)
{
    struct dump **handle = new_handle(L, 1);
    int top = lua_gettop(L);
    bool is_loaded = load(L, handle, opening, index, err) == 0;

    unpin(L, top);
    if (is_loaded)
        return handle;
    if (*handle)
        dump_close(*handle);
    *handle = NULL;
    return NULL;
}

/* open(path, partial, progress or nil [, file [, index]]): a table with the dump's fields.
 * A file of open_file is opened in place of the path. `index` is the path of the index of a
 * compressed dump. If it is refused, message, code follow the table. */
static int core_open(lua_State *L)
{
    struct opening opening = {.path = luaL_checkstring(L, 1),
                              .partial = lua_toboolean(L, 2),
                              .fd = lua_isnoneornil(L, 4) ? -1 : check_file(L, 4),
                              .index = luaL_optstring(L, 5, NULL)};
    struct index_use index = {0};
    struct dump **handle;
    struct qvm_error err;

    lua_settop(L, 5);
    handle = open_handle(L, &opening, &index, &err);
    if (!handle && index.is_used) {
        /* An index with the right checksum may be wrong all the same. */
        opening.index = NULL;
        handle = open_handle(L, &opening, &index, &err);
        qvm_fail(&index.error, QVM_MALFORMED, "%s: its index does not fit it",
                 opening.path);
        index.is_refused = true;
    }
    if (!handle)
        return push_failure(L, &err);
    if (!*handle) /* progress, or a hook, has closed it */
        return push_closed(L);
    pin_dump(L, lua_gettop(L));
    lua_pushvalue(L, -2); /* the handle; the pin is above it */
    push_dump_table(L, *handle);
    if (!index.is_refused)
        return 1;
    push_failure(L, &index.error);
    lua_remove(L, -3); /* its nil */
    return 3;
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

/* file(dump): the dump's own file, of the io library, whatever its path means by now. */
static int method_file(lua_State *L)
{
    const struct dump *dump = *check_dump(L, 1);

    return dump ? push_duplicate(L, dump->file.fd, dump->file.path) : push_closed(L);
}

struct text {
    char *bytes;
    size_t size;
};

/* Owns the bytes while it is made a Lua string, which may raise. */
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
    free(text->bytes);
    text->bytes = NULL;
    return 1;
}

/* make_index(dump, progress or nil): the index of a compressed dump, nil of another one. */
static int method_make_index(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    unsigned char *bytes;
    struct text *text;
    struct qvm_error err;

    if (!dump)
        return push_closed(L);
    text = new_scratch(L, sizeof *text, "qvm.dumptext", text_gc);
    while (image_file_make_index(&dump->file, &bytes, &text->size, &err) != 0) {
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
        call_progress(L, 2, dump);
    }
    if (!bytes)
        return 0;
    text->bytes = (char *)bytes;
    lua_pushlstring(L, text->bytes, text->size);
    free(text->bytes);
    text->bytes = NULL;
    return 1;
}

void add_dump(lua_State *L)
{
    static const luaL_Reg plain[] = {{"close", method_close},
                                     {"is_open", method_is_open},
                                     {"range", method_range},
                                     {NULL, NULL}};
    static const luaL_Reg pinned[] = {{"file", method_file},
                                      {"log", method_log},
                                      {"make_index", method_make_index},
                                      {NULL, NULL}};

    add_handle_types(L);
    luaL_newlib(L, plain);
    add_pinned(L, pinned, false);
    add_vcpus(L);
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
