/* Gives the specs the function slog2() of the module qvm.core, with the host/slog2.c that
 * is for QNX, and functions that put packets into the fake of libslog2parse. */
#define _QNX_SOURCE

#include "binding.h"
#include "slog2_fake.h"

static lua_Integer integer_of(lua_State *L, const char *name)
{
    lua_Integer value;

    lua_getfield(L, 1, name);
    value = luaL_optinteger(L, -1, 0);
    lua_pop(L, 1);
    return value;
}

/* The string is in the caller's table, which keeps it. */
static const char *string_of(lua_State *L, const char *name, const char *otherwise)
{
    const char *value;

    lua_getfield(L, 1, name);
    value = luaL_optstring(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

/* put{pid=, tid=, sequence=, nanoseconds=, severity=, code=, text=, file=, buffer=, type=}:
 * type "text" (default), "unsync", "binary" or "online"; is_monotonic = 1. */
static int put(lua_State *L)
{
    static const char *const types[] = {"text", "binary", "unsync", "online", NULL};
    struct fake_packet packet = {.type = SLOG2_TYPE_ASCII_STRING};

    lua_settop(L, 1);
    lua_getfield(L, 1, "type");
    packet.type = (slog2_packet_data_type_t)(SLOG2_TYPE_ASCII_STRING +
                                             luaL_checkoption(L, 2, "text", types));
    packet.owner = (uint32_t)integer_of(L, "pid");
    packet.tid = (uint16_t)integer_of(L, "tid");
    packet.sequence = (uint16_t)integer_of(L, "sequence");
    packet.time = (uint64_t)integer_of(L, "nanoseconds");
    packet.severity = (uint8_t)integer_of(L, "severity");
    packet.code = (uint16_t)integer_of(L, "code");
    packet.flags = integer_of(L, "is_monotonic") ? SLOG2_PACKET_FLAGS_MONOTONIC : 0;
    packet.text = string_of(L, "text", "");
    packet.file = string_of(L, "file", NULL);
    packet.buffer = string_of(L, "buffer", NULL);
    fake_slog2_put(&packet);
    return 0;
}

static int clear(lua_State *L)
{
    (void)L;
    fake_slog2_clear();
    return 0;
}

/* fail(): from now on the logs cannot be read, until clear(). */
static int fail(lua_State *L)
{
    (void)L;
    fake_slog2_set(1, -1);
    return 0;
}

__attribute__((visibility("default"))) int luaopen_slog2_fake(lua_State *L);

int luaopen_slog2_fake(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"put", put}, {"clear", clear}, {"fail", fail}, {NULL, NULL}};

    luaL_newlib(L, functions);
    lua_newtable(L); /* the packets are freed when the state is closed */
    lua_pushcfunction(L, clear);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    add_slog2(L);
    return 1;
}
