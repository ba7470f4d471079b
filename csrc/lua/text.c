/* Text that leaves the program. */
#include "binding.h"
#include "escape.h"

void push_escaped(lua_State *L, const char *text, size_t size, bool json)
{
    enum escape_form form = json ? ESCAPE_JSON : ESCAPE_SHOWN;
    luaL_Buffer buffer;

    luaL_buffinit(L, &buffer);
    for (size_t at = 0, used; at < size; at += used) {
        char *out = luaL_prepbuffsize(&buffer, ESCAPE_SIZE);

        luaL_addsize(&buffer, escape_next(text + at, size - at, form, out, &used));
    }
    luaL_pushresult(&buffer);
}

/* escape(text [, json]) */
static int core_escape(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    push_escaped(L, text, size, lua_toboolean(L, 2));
    return 1;
}

void add_text(lua_State *L)
{
    lua_pushcfunction(L, core_escape);
    lua_setfield(L, -2, "escape");
}
