/* Binds util/text.h: escaping of text that leaves the program. */
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
    char unused[ESCAPE_SIZE], *out;
    size_t total = 0;
    luaL_Buffer buffer;

    if (!json && is_plain(text, size)) {
        lua_pushlstring(L, text, size);
        return;
    }
    /* The first pass only counts: a buffer that grows would take up to three times the
     * result's memory. */
    for (size_t at = 0, used; at < size; at += used)
        total += escape_next(text + at, size - at, form, unused, &used);
    out = luaL_buffinitsize(L, &buffer, total + ESCAPE_SIZE);
    for (size_t at = 0, used; at < size; at += used)
        out += escape_next(text + at, size - at, form, out, &used);
    luaL_pushresultsize(&buffer, total);
}

/* escape(text [, json]): the text, escaped for people or for the inside of a JSON string.
 */
static int core_escape(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    push_escaped(L, text, size, lua_toboolean(L, 2));
    return 1;
}

/* The constant `null` is what decode() returns for null, and equals cjson.null; it is here
 * so that lua-cjson need not be loaded. */
void add_text(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushcfunction(L, core_escape);
    lua_setfield(L, -2, "escape");
}
