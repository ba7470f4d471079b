/* Binds host/slog2.h: what QNX's system logger holds, as a userdata that packets are taken
 * from one at a time, so that a log of 200000 lines is never a table of as many. */
#include "host/slog2.h"
#include "binding.h"

static const char TYPE[] = "qvm.slog2_log";

static int log_gc(lua_State *L)
{
    slog2_free(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static const struct slog2_packet *check_packet(lua_State *L, const struct slog2_log **log)
{
    lua_Integer index = luaL_checkinteger(L, 2);

    *log = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, index >= 1 && (lua_Unsigned)index <= (*log)->count, 2,
                  "no such packet");
    return &(*log)->packets[index - 1];
}

/* #log: the number of packets. */
static int log_count(lua_State *L)
{
    const struct slog2_log *log = luaL_checkudata(L, 1, TYPE);

    lua_pushinteger(L, (lua_Integer)log->count);
    return 1;
}

/* log:buffer(number): the process, the name of the file and the buffer's name, for each
 * number from 1 on; nothing after the last one. */
static int log_buffer(lua_State *L)
{
    const struct slog2_log *log = luaL_checkudata(L, 1, TYPE);
    lua_Integer number = luaL_checkinteger(L, 2);
    const struct slog2_buffer *buffer;

    if (number < 1 || (lua_Unsigned)number > log->buffer_count)
        return 0;
    buffer = &log->buffers[number - 1];
    lua_pushinteger(L, buffer->pid);
    lua_pushstring(L, log->bytes + buffer->file);
    lua_pushstring(L, log->bytes + buffer->name);
    return 3;
}

/* log:place(i): of packet i the number of its buffer, its time, its sequence number, and
 * whether it is a loss: what identifies it in a later log. */
static int log_place(lua_State *L)
{
    const struct slog2_log *log;
    const struct slog2_packet *packet = check_packet(L, &log);

    lua_pushinteger(L, (lua_Integer)packet->buffer + 1);
    lua_pushinteger(L, (lua_Integer)packet->time);
    lua_pushinteger(L, packet->sequence);
    lua_pushboolean(L, packet->is_loss);
    return 4;
}

/* log:message(i): of packet i the severity, the thread, the code, the text, and whether its
 * time is that since boot. */
static int log_message(lua_State *L)
{
    const struct slog2_log *log;
    const struct slog2_packet *packet = check_packet(L, &log);

    lua_pushinteger(L, packet->severity);
    lua_pushinteger(L, packet->tid);
    lua_pushinteger(L, packet->code);
    lua_pushlstring(L, log->bytes + packet->text, packet->size);
    lua_pushboolean(L, packet->is_monotonic);
    return 5;
}

/* log:is_numbered_system_wide(): see struct slog2_log. */
static int log_numbering(lua_State *L)
{
    const struct slog2_log *log = luaL_checkudata(L, 1, TYPE);

    lua_pushboolean(L, log->is_numbered_system_wide);
    return 1;
}

/* slog2(pid): the log of this process so far; 0: of all processes. */
static int core_slog2(lua_State *L)
{
    lua_Integer owner = luaL_checkinteger(L, 1);
    struct slog2_log *log = new_scratch(L, sizeof *log, TYPE, log_gc);
    struct qvm_error err;

    if (slog2_read(log, (pid_t)owner, &err) != 0) {
        slog2_free(log);
        return push_failure(L, &err);
    }
    return 1;
}

void add_slog2(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"buffer", log_buffer},
        {"place", log_place},
        {"message", log_message},
        {"is_numbered_system_wide", log_numbering},
        {NULL, NULL},
    };

    luaL_newmetatable(L, TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, log_count);
    lua_setfield(L, -2, "__len");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_slog2);
    lua_setfield(L, -2, "slog2");
}
