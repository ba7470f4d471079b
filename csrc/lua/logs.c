/* The system logger's text. */
#include "binding.h"
#include "host/slog2.h"

static const char TYPE[] = "qvm.logs";

static int logs_gc(lua_State *L)
{
    logs_free(lua_touserdata(L, 1));
    return 0;
}

/* slog2(pid): what that process has logged so far; 0: what all have. */
static int core_slog2(lua_State *L)
{
    lua_Integer owner = luaL_checkinteger(L, 1);
    struct logs *logs = new_scratch(L, sizeof *logs, TYPE, logs_gc);
    struct qvm_error err;

    if (logs_read(logs, (pid_t)owner, &err) != 0) {
        logs_free(logs);
        return push_failure(L, &err);
    }
    lua_pushlstring(L, logs->bytes ? logs->bytes : "", logs->size);
    logs_free(logs);
    return 1;
}

void add_logs(lua_State *L)
{
    lua_pushcfunction(L, core_slog2);
    lua_setfield(L, -2, "slog2");
}
