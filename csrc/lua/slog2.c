/* The system logger's text. */
#include "host/slog2.h"
#include "binding.h"

static const char TYPE[] = "qvm.logs";

static int logs_gc(lua_State *L)
{
    slog2_free(lua_touserdata(L, 1));
    return 0;
}

/* slog2(pid): what that process has logged so far; 0: what all have. */
static int core_slog2(lua_State *L)
{
    lua_Integer owner = luaL_checkinteger(L, 1);
    struct slog2_text *logs = new_scratch(L, sizeof *logs, TYPE, logs_gc);
    struct qvm_error err;

    if (slog2_read(logs, (pid_t)owner, &err) != 0) {
        slog2_free(logs);
        return push_failure(L, &err);
    }
    lua_pushlstring(L, logs->bytes ? logs->bytes : "", logs->size);
    slog2_free(logs);
    return 1;
}

void add_slog2(lua_State *L)
{
    lua_pushcfunction(L, core_slog2);
    lua_setfield(L, -2, "slog2");
}
