/* JSON text to Lua values. */
#include "binding.h"
#include "json/json_number.h"

#include <stdbool.h>

#define WARNINGS_MAX 100

/* What stands on the Lua stack throughout: the text, the warnings, and for every object the
 * array of its members' names in the order of the text. */
enum { TEXT = 1, WARNINGS, ORDERS };

struct decoder {
    struct json_reader reader;
    struct json_place place; /* of the last warning: they come in ascending order */
    lua_Integer count[JSON_DEPTH_MAX]; /* elements of each open array or object */
    unsigned depth;
};

static void push_place(lua_State *L, struct decoder *d, size_t offset, const char *what)
{
    json_advance(&d->reader, &d->place, offset);
    lua_pushfstring(L, "%I:%I: %s", (LUAI_UACINT)d->place.line,
                    (LUAI_UACINT)d->place.column, what);
}

/* Pops nothing, pushes nothing. */
static void warn(lua_State *L, struct decoder *d, size_t offset, const char *what)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, WARNINGS);

    if (count > WARNINGS_MAX)
        return;
    if (count == WARNINGS_MAX)
        lua_pushliteral(L, "there are more warnings than are listed");
    else
        push_place(L, d, offset, what);
    lua_rawseti(L, WARNINGS, count + 1);
}

static void push_string(lua_State *L, const struct json_token *token)
{
    luaL_Buffer buffer;
    char *out;

    if (!token->escaped) {
        lua_pushlstring(L, token->text, token->size);
        return;
    }
    out = luaL_buffinitsize(L, &buffer, token->size);
    luaL_pushresultsize(&buffer, json_string(token, out));
}

/* Stack of an open object: table, names; of an open array: table, nil. */
static void open_container(lua_State *L, struct decoder *d, bool object)
{
    luaL_checkstack(L, 8, "JSON text nested too deeply");
    lua_newtable(L);
    if (object) {
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, ORDERS);
    } else {
        lua_pushnil(L);
    }
    d->count[d->depth++] = 0;
}

/* Pushes the name, which waits for its value above the object's table and names. */
static void take_key(lua_State *L, struct decoder *d, const struct json_token *token)
{
    push_string(L, token);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -4) != LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushfstring(L, "member \"%s\" is here again: the last one wins",
                        lua_tostring(L, -1));
        warn(L, d, token->at, lua_tostring(L, -1));
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++d->count[d->depth - 1]);
}

/* Moves the value on top into what it stands in; at the outermost level it stays. */
static void store(lua_State *L, struct decoder *d)
{
    if (d->depth == 0)
        return;
    if (lua_isnil(L, -2))
        lua_rawseti(L, -3, ++d->count[d->depth - 1]);
    else
        lua_rawset(L, -4);
}

static void push_scalar(lua_State *L, struct decoder *d, const struct json_token *token)
{
    switch (token->type) {
    case JSON_NULL: lua_pushlightuserdata(L, NULL); break; /* as lua-cjson's null */
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_INTEGER: lua_pushinteger(L, token->integer); break;
    case JSON_FLOAT:
        if (token->inexact)
            warn(L, d, token->at, "this number does not fit 64 bits and is not exact");
        lua_pushnumber(L, token->number);
        break;
    default: push_string(L, token); break;
    }
}

static void take(lua_State *L, struct decoder *d, const struct json_token *token)
{
    switch (token->type) {
    case JSON_KEY: take_key(L, d, token); break;
    case JSON_ARRAY: open_container(L, d, false); break;
    case JSON_OBJECT: open_container(L, d, true); break;
    case JSON_ARRAY_END:
    case JSON_OBJECT_END:
        lua_pop(L, 1); /* names or nil: the table itself is the value now */
        d->depth--;
        store(L, d);
        break;
    default:
        push_scalar(L, d, token);
        store(L, d);
        break;
    }
}

/* decode(text): value, warnings, orders; or nil, "line:column: what", "malformed". */
static int core_decode(lua_State *L)
{
    struct decoder d = {.depth = 0};
    struct json_token token;
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    json_init(&d.reader, text, size);
    json_start(&d.place);
    while (json_next(&d.reader, &token) > JSON_END)
        take(L, &d, &token);
    if (token.type == JSON_ERROR && d.reader.error == json_no_memory)
        return luaL_error(L, "%s", json_no_memory);
    if (token.type == JSON_ERROR) {
        json_start(&d.place);
        lua_pushnil(L);
        push_place(L, &d, d.reader.at, d.reader.error);
        lua_pushstring(L, qvm_code_name(QVM_MALFORMED));
        return 3;
    }
    lua_pushvalue(L, WARNINGS);
    lua_pushvalue(L, ORDERS);
    return 3;
}

void add_decode(lua_State *L)
{
    lua_pushcfunction(L, core_decode);
    lua_setfield(L, -2, "decode");
}
