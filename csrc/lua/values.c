/* Reading memory: bytes, strings, one value, an array of many; of a Dump or a Space.
 *
 * Single values are what loops read, so their methods do nothing but that: they do not pin
 * the dump (the read itself runs no Lua code) and allocate nothing. The others are pinned,
 * and read in parts: between these hooks run, and of memory whose size is not known in
 * advance, which is virtual or still compressed, no more is allocated than is there. */
#include "memory.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <limits.h>

/* Values of a long array between two runs of hooks. */
enum { POLL_EVERY = 1 << 20 };

struct value_type {
    const char *name;
    unsigned size;
    bool is_signed;
};

static const struct value_type types[] = {
    {"u8", 1, false}, {"u16", 2, false}, {"u32", 4, false}, {"u64", 8, false},
    {"i8", 1, true},  {"i16", 2, true},  {"i32", 4, true},  {"i64", 8, true},
};

/* From 2^63 on, an unsigned value is the integer with the same bits. A shorter signed value
 * is extended by its sign. */
static lua_Integer decode(const unsigned char *bytes, unsigned size, bool is_signed,
                          bool big_endian)
{
    uint64_t value = bytes_get(bytes, size, big_endian);

    if (is_signed && size > 0 && size < 8 && value >> (8 * size - 1))
        value |= UINT64_MAX << 8 * size;
    return (lua_Integer)value;
}

/* Reads one value, and returns it. */
static int get(lua_State *L, unsigned size, bool is_signed)
{
    struct opened_memory memory;
    uint64_t address;
    unsigned char bytes[8];
    struct qvm_error err;

    if (!get_address(L, 2, &address))
        return ADDRESS_FAILURE;
    memory = check_memory(L);
    if (!memory.dump)
        return push_closed(L);
    while (memory_read(memory.memory, address, bytes, size, &err) != 0) {
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
        memory = check_memory(L); /* a hook may have closed it */
        if (!memory.dump)
            return push_closed(L);
    }
    lua_pushinteger(L, decode(bytes, size, is_signed, memory.dump->elf.big_endian));
    return 1;
}

static int method_u8(lua_State *L)
{
    return get(L, 1, false);
}

static int method_u16(lua_State *L)
{
    return get(L, 2, false);
}

static int method_u32(lua_State *L)
{
    return get(L, 4, false);
}

static int method_u64(lua_State *L)
{
    return get(L, 8, false);
}

static int method_i8(lua_State *L)
{
    return get(L, 1, true);
}

static int method_i16(lua_State *L)
{
    return get(L, 2, true);
}

static int method_i32(lua_State *L)
{
    return get(L, 4, true);
}

static const struct value_type *check_type(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    luaL_argerror(L, index, lua_pushfstring(L, "no type '%s'", name));
    return NULL;
}

/* Appends values to the table on top of the stack. */
static inline void append_values(lua_State *L, const unsigned char *bytes, lua_Integer from,
                                 lua_Integer count, unsigned size, bool is_signed,
                                 bool big_endian)
{
    for (lua_Integer i = 0; i < count; i++) {
        lua_pushinteger(L, decode(bytes + (size_t)i * size, size, is_signed, big_endian));
        lua_rawseti(L, -2, from + i);
    }
}

/* The same with constants for the usual types, so that the compiler makes decoding one
 * load. */
static void append(lua_State *L, const unsigned char *bytes, lua_Integer from,
                   lua_Integer count, const struct value_type *type, bool big_endian)
{
    if (type->size == 8 && !big_endian)
        append_values(L, bytes, from, count, 8, false, false);
    else if (type->size == 4 && !big_endian && !type->is_signed)
        append_values(L, bytes, from, count, 4, false, false);
    else
        append_values(L, bytes, from, count, type->size, type->is_signed, big_endian);
}

/* Checks n bytes at an address before room is made for them: n may be absurd. Physical
 * memory must hold all of them. Whether virtual memory does shows when it is read, a part
 * at a time; here they must only end before the end of the address space. */
static int check_size(const struct opened_memory *memory, uint64_t address, uint64_t n,
                      struct qvm_error *err)
{
    if (memory->space && n > 0 && n - 1 > UINT64_MAX - address)
        return qvm_fail(err, QVM_UNMAPPED, "%s: memory ends at 0x%016" PRIx64,
                        memory->dump->file.path, UINT64_MAX);
    if (!memory->space && dump_check(memory->dump, address, n, err) != 0)
        return -1;
    if (n > SIZE_MAX / 2)
        return qvm_fail(err, QVM_TOO_LARGE, "%s: more bytes than this machine can address",
                        memory->dump->file.path);
    return 0;
}

/* Whether check_size() has made sure that all bytes are there. */
static bool is_certain(const struct opened_memory *memory)
{
    return !memory->space && image_file_size_is_certain(&memory->dump->file);
}

/* array(memory, address, type, count): a table of count integers. Room for all is made at
 * once only if they are certain to be there. */
static int method_array(lua_State *L)
{
    struct opened_memory memory = check_memory(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    const struct value_type *type = check_type(L, 3);
    lua_Integer count = luaL_checkinteger(L, 4);
    unsigned char bytes[32768];
    lua_Integer in_part = (lua_Integer)(sizeof bytes / type->size);
    struct qvm_error err;

    luaL_argcheck(L, count >= 0, 4, "a number of values is expected, not a negative one");
    luaL_argcheck(L, count <= INT_MAX, 4, "more values than a table can hold");
    if (!memory.dump)
        return push_closed(L);
    if (check_size(&memory, address, (uint64_t)count * type->size, &err) != 0)
        return push_failure(L, &err);
    lua_createtable(L, is_certain(&memory) || count < in_part ? (int)count : (int)in_part,
                    0);
    for (lua_Integer done = 0, part; done < count; done += part) {
        part = count - done < in_part ? count - done : in_part;
        while (memory_read(memory.memory, address + (uint64_t)done * type->size, bytes,
                           (size_t)part * type->size, &err) != 0)
            if (!poll_incomplete(L, &err))
                return push_failure(L, &err);
        append(L, bytes, done + 1, part, type, memory.dump->elf.big_endian);
        if (done % POLL_EVERY < part)
            poll_interrupt(L);
    }
    return 1;
}

/* read(memory, address, n): a string of n bytes. As for array, the buffer has its final
 * size at once where that is known to be needed: one that grows would take a multiple of
 * it. */
static int method_read(lua_State *L)
{
    struct opened_memory memory = check_memory(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer n = luaL_checkinteger(L, 3), at_once;
    luaL_Buffer buffer;
    struct qvm_error err;

    at_once = memory.space ? 1 << 20 : 16 << 20;
    luaL_argcheck(L, n >= 0, 3, "a number of bytes is expected, not a negative one");
    if (!memory.dump)
        return push_closed(L);
    if (check_size(&memory, address, (uint64_t)n, &err) != 0)
        return push_failure(L, &err);
    luaL_buffinitsize(L, &buffer,
                      is_certain(&memory) || n < at_once ? (size_t)n : (size_t)at_once);
    for (lua_Integer done = 0, part; done < n; done += part) {
        char *to;

        part = n - done < at_once ? n - done : at_once;
        to = luaL_prepbuffsize(&buffer, (size_t)part);
        while (memory_read(memory.memory, address + (uint64_t)done, to, (size_t)part,
                           &err) != 0)
            if (!poll_incomplete(L, &err))
                return push_failure(L, &err);
        luaL_addsize(&buffer, (size_t)part);
        if (part == at_once)
            poll_interrupt(L);
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* Stops at the first failure, whose reason does not matter here: reading there gives it. */
static uint64_t contiguous_in_space(struct space *space, uint64_t address, uint64_t n)
{
    uint64_t total = 0, physical, left;
    struct qvm_error err;

    while (total < n && address <= UINT64_MAX - total) {
        if (space_translate(space, address + total, &physical, &left, &err) != 0)
            break;
        left = dump_contiguous(space->dump, physical, left < n - total ? left : n - total);
        if (left == 0)
            break;
        total += left;
    }
    return total;
}

/* How many of n bytes from an address on can be read, without a gap. */
static uint64_t contiguous(const struct opened_memory *memory, uint64_t address, uint64_t n)
{
    return memory->space ? contiguous_in_space(memory->space, address, n)
                         : dump_contiguous(memory->dump, address, n);
}

/* cstring(memory, address, max = 4096): the bytes before the first NUL, at most max. It is
 * read in parts that are known to be there, so that a string right before a gap can be
 * read. */
static int method_cstring(lua_State *L)
{
    struct opened_memory memory = check_memory(L);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer max = luaL_optinteger(L, 3, 4096);
    struct qvm_error err;
    luaL_Buffer buffer;
    bool ended = false;

    luaL_argcheck(L, max >= 0, 3, "a number of bytes is expected, not a negative one");
    if (!memory.dump)
        return push_closed(L);
    luaL_buffinit(L, &buffer);
    while (!ended && max > 0) {
        char *to = luaL_prepbuffsize(&buffer, 256);
        uint64_t n = contiguous(&memory, address, max < 256 ? (uint64_t)max : 256);
        const char *end;

        /* If there is not even one byte, reading it fails with the reason. */
        while (memory_read(memory.memory, address, to, n ? (size_t)n : 1, &err) != 0)
            if (!poll_incomplete(L, &err))
                return push_failure(L, &err);
        n = n ? n : 1; /* there is one after all: a compressed dump was unpacked further */
        end = memchr(to, '\0', (size_t)n);
        ended = end != NULL;
        luaL_addsize(&buffer, end ? (size_t)(end - to) : (size_t)n);
        address += n;
        max -= (lua_Integer)n;
        if (address == 0 && !ended && max > 0) { /* beyond the last address */
            memory_read(memory.memory, UINT64_MAX, to, 2, &err);
            return push_failure(L, &err);
        }
    }
    luaL_pushresult(&buffer);
    return 1;
}

void add_values(lua_State *L)
{
    static const luaL_Reg plain[] = {
        {"u8", method_u8},   {"u16", method_u16}, {"u32", method_u32},
        {"u64", method_u64}, {"i8", method_i8},   {"i16", method_i16},
        {"i32", method_i32}, {"i64", method_u64}, {NULL, NULL},
    };
    static const luaL_Reg pinned[] = {{"array", method_array},
                                      {"read", method_read},
                                      {"cstring", method_cstring},
                                      {NULL, NULL}};

    luaL_setfuncs(L, plain, 0);
    add_pinned(L, pinned, true);
}
