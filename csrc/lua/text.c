/* Text that leaves the program. */
#include "util/text.h"
#include "binding.h"

/* Printable ASCII is shown as it is. */
static bool is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

void push_escaped(lua_State *L, const char *text, size_t size, bool json)
{
    enum escape_form form = json ? ESCAPE_JSON : ESCAPE_SHOWN;
    char one[ESCAPE_SIZE], *out;
    size_t total = 0;
    luaL_Buffer buffer;

    if (!json && is_plain(text, size)) {
        lua_pushlstring(L, text, size);
        return;
    }
    /* Its size first: a buffer that grows would need a multiple of it. */
    for (size_t at = 0, used; at < size; at += used)
        total += escape_next(text + at, size - at, form, one, &used);
    out = luaL_buffinitsize(L, &buffer, total + ESCAPE_SIZE);
    for (size_t at = 0, used; at < size; at += used)
        out += escape_next(text + at, size - at, form, out, &used);
    luaL_pushresultsize(&buffer, total);
}

/* escape(text [, json]) */
static int core_escape(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    push_escaped(L, text, size, lua_toboolean(L, 2));
    return 1;
}

/* null: what cjson.null is, and decode gives, without loading lua-cjson. */
void add_text(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushcfunction(L, core_escape);
    lua_setfield(L, -2, "escape");
}
