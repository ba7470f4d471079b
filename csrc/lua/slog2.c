/* Binds host/slog2.h: the text of QNX's system logger. */
#include "host/slog2.h"
#include "binding.h"

static const char TYPE[] = "qvm.slog2_text";

static int text_gc(lua_State *L)
{
    slog2_free(lua_touserdata(L, 1));
    return 0;
}

/* slog2(pid): the text that this process has logged so far; 0: that every process has. */
static int core_slog2(lua_State *L)
{
    lua_Integer owner = luaL_checkinteger(L, 1);
    struct slog2_text *text = new_scratch(L, sizeof *text, TYPE, text_gc);
    struct qvm_error err;

    if (slog2_read(text, (pid_t)owner, &err) != 0) {
        slog2_free(text);
        return push_failure(L, &err);
    }
    lua_pushlstring(L, text->bytes ? text->bytes : "", text->size);
    slog2_free(text);
    return 1;
}

void add_slog2(lua_State *L)
{
    lua_pushcfunction(L, core_slog2);
    lua_setfield(L, -2, "slog2");
}
