/* Builds Lua values from the tokens of the core's JSON reader.
 *
 * The text is read twice. The first pass only validates it and counts its values, so a
 * malformed or too large document costs no Lua memory. The second pass builds the values.
 *
 * The tables that are under construction are on the Lua stack, two slots per open level:
 *
 *     object   table, array of its member names in the order of the text (or false)
 *     array    table, nil
 *
 * with the name of a member above them while its value is built. An object's order is
 * stored in the table `orders`, with the object as its key; callers that do not need it
 * pass a limit and get none. A member that occurs twice has its last value and the place of
 * its first one in the order, and gives a warning. */
#include "binding.h"
#include "json/json_number.h"

#include <stdbool.h>

#define WARNINGS_MAX 100
#define NAME_SHOWN   80 /* bytes of a member's name in a warning */

/* Limit of the values in a document, arrays and objects included: a text of `{},` takes
 * fifty times its size when it is decoded. */
#define VALUES_MAX (1 << 16)

/* Stack indices: the text, the warnings, the orders (nil if they are not requested). */
enum { TEXT = 1, WARNINGS, ORDERS };

struct decoder {
    struct json_reader reader;
    struct json_place place; /* of the last warning: they come in ascending order */
    lua_Integer count[JSON_DEPTH_MAX]; /* elements or names of each open level */
    unsigned depth;
};

/* Pushes "line:column: what". */
static void push_place(lua_State *L, struct decoder *d, size_t offset, const char *what)
{
    json_place_advance(&d->reader, &d->place, offset);
    lua_pushfstring(L, "%I:%I: %s", (LUAI_UACINT)d->place.line,
                    (LUAI_UACINT)d->place.column, what);
}

/* Appends to the warnings; leaves the stack as it was. */
static void add_warning(lua_State *L, struct decoder *d, size_t offset, const char *what)
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

/* Pushes the two slots of an open level. */
static void open_level(lua_State *L, struct decoder *d, bool object)
{
    luaL_checkstack(L, 8, "JSON text nested too deeply");
    lua_newtable(L);
    if (object && lua_isnil(L, ORDERS)) {
        lua_pushboolean(L, 0);
    } else if (object) {
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, ORDERS);
    } else {
        lua_pushnil(L);
    }
    d->count[d->depth++] = 0;
}

/* Warns about a second member of the name on top of the stack, which is cut between two
 * characters if it is long. */
static void warn_duplicate(lua_State *L, struct decoder *d, size_t offset)
{
    size_t size, shown;
    const char *name = lua_tolstring(L, -1, &size);

    for (shown = size < NAME_SHOWN ? size : NAME_SHOWN; shown > 0 && shown < size;
         shown--) {
        if (((unsigned char)name[shown] & 0xc0) != 0x80)
            break; /* not within a character */
    }
    lua_pushlstring(L, name, shown);
    lua_pushfstring(L, "duplicate member \"%s%s\": the last one wins", lua_tostring(L, -1),
                    shown < size ? "..." : "");
    add_warning(L, d, offset, lua_tostring(L, -1));
    lua_pop(L, 2);
}

/* Pushes a member's name, and appends it to its object's names unless the object has the
 * member already. */
static void begin_member(lua_State *L, struct decoder *d, const struct json_token *token)
{
    push_string(L, token);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -4) != LUA_TNIL) {
        lua_pop(L, 1);
        warn_duplicate(L, d, token->at);
        return;
    }
    lua_pop(L, 1);
    if (!lua_istable(L, -2))
        return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++d->count[d->depth - 1]);
}

/* Pops the value on top, and a member's name, and stores it in the innermost open table.
 * The outermost value stays on the stack. */
static void store_value(lua_State *L, struct decoder *d)
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
            add_warning(L, d, token->at,
                        "this number does not fit 64 bits and is not exact");
        lua_pushnumber(L, token->number);
        break;
    default: push_string(L, token); break;
    }
}

static void add_token(lua_State *L, struct decoder *d, const struct json_token *token)
{
    switch (token->type) {
    case JSON_KEY: begin_member(L, d, token); break;
    case JSON_ARRAY: open_level(L, d, false); break;
    case JSON_OBJECT: open_level(L, d, true); break;
    case JSON_ARRAY_END:
    case JSON_OBJECT_END:
        lua_pop(L, 1); /* names or nil: the table itself is the value now */
        d->depth--;
        store_value(L, d);
        break;
    default:
        push_scalar(L, d, token);
        store_value(L, d);
        break;
    }
}

static bool is_value(enum json_type type)
{
    return type != JSON_KEY && type != JSON_ARRAY_END && type != JSON_OBJECT_END;
}

/* The first pass. Returns NULL, or what is wrong at reader.at, and its code. A message that
 * is made here is also on the Lua stack, which keeps it alive. */
static const char *check_text(lua_State *L, struct json_reader *reader, lua_Integer limit,
                              enum qvm_code *code)
{
    struct json_token token;
    lua_Integer count = 0;

    *code = QVM_TOO_LARGE;
    while (json_next(reader, &token) > JSON_END) {
        count += is_value(token.type);
        if (count > limit)
            return lua_pushfstring(L, "more than %I values", (LUAI_UACINT)limit);
    }
    *code = QVM_MALFORMED;
    return token.type == JSON_ERROR ? reader->error : NULL;
}

static int push_text_failure(lua_State *L, struct decoder *d, const char *error,
                             enum qvm_code code)
{
    if (error == json_no_memory)
        return luaL_error(L, "%s", json_no_memory);
    lua_pushnil(L);
    push_place(L, d, d->reader.at, error);
    lua_pushstring(L, qvm_code_name(code));
    return 3;
}

/* decode(text): value, warnings, orders; or nil, "line:column: what", and "malformed" or
 * "too_large". decode(text, limit): the same with another limit of values, and nil for the
 * orders. */
static int core_decode(lua_State *L)
{
    struct decoder d = {.depth = 0};
    struct json_token token;
    enum qvm_code code;
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size), *error;
    bool orders = lua_isnoneornil(L, 2);
    lua_Integer limit = luaL_optinteger(L, 2, VALUES_MAX);

    lua_settop(L, 1);
    json_init(&d.reader, text, size);
    json_place_init(&d.place);
    error = check_text(L, &d.reader, limit, &code);
    if (error)
        return push_text_failure(L, &d, error, code);
    lua_newtable(L);
    if (orders)
        lua_newtable(L);
    else
        lua_pushnil(L);
    json_init(&d.reader, text, size);
    while (json_next(&d.reader, &token) > JSON_END)
        add_token(L, &d, &token);
    if (token.type == JSON_ERROR)
        return luaL_error(L, "%s", d.reader.error); /* no memory for a number */
    lua_pushvalue(L, WARNINGS);
    lua_pushvalue(L, ORDERS);
    return 3;
}

void add_json(lua_State *L)
{
    lua_pushcfunction(L, core_decode);
    lua_setfield(L, -2, "decode");
}
