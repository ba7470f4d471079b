/* Values of objects: reads what is at a typed place in the kernel's memory, and pushes it
 * as Lua has it. */
#include "objects.h"
#include "util/bytes.h"

#include <inttypes.h>

const char OBJECT_TYPE[] = "qvm.object", OBJECT_RAISE[] = "qvm.object.raise";

/* A char array of more bytes than this is an Object, not a string. */
enum { STRING_MAX = 1 << 20 };

static int raise_with_code(lua_State *L, const char *what, const char *code)
{
    luaL_checkstack(L, 6, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, OBJECT_RAISE);
    lua_pushstring(L, what);
    lua_pushvalue(L, 1);
    if (lua_gettop(L) > 3)
        lua_pushvalue(L, 2);
    else
        lua_pushnil(L);
    lua_pushstring(L, code);
    lua_call(L, 4, 0);
    return luaL_error(L, "%s", what);
}

/* Raises by the function that Lua gave to objects_with: function(what, object, key, code),
 * where the key is argument 2, if there is one, and the code is that of a failed read, or
 * nil. */
int raise_for_object(lua_State *L, const char *what)
{
    return raise_with_code(L, what, NULL);
}

static int raise_read_failure(lua_State *L, const struct qvm_error *err)
{
    char text[QVM_MESSAGE_SIZE];

    if (err->code == QVM_NO_MEMORY)
        return raise_failure(L, err);
    push_escaped(L, text, qvm_error_text(err, text, sizeof text), false);
    return raise_with_code(L, lua_tostring(L, -1), qvm_code_name(err->code));
}

/* Reading --------------------------------------------------------------------------------
 */

/* The context stays, since the object is argument 1. */
void read_object_bytes(lua_State *L, const struct context *context, uint64_t address,
                       void *to, size_t n)
{
    struct qvm_error err;

    while (*context->space->dump) {
        if (space_read(&context->space->space, address, to, n, &err) == 0)
            return;
        if (!poll_incomplete(L, &err))
            raise_read_failure(L, &err);
    }
    raise_with_code(L, "the dump is closed", "gone");
}

bool context_is_big_endian(const struct context *context)
{
    return *context->space->dump && (*context->space->dump)->elf.big_endian;
}

void push_object(lua_State *L, struct context *context, const struct btf_ref *ref,
                 uint64_t address, bool is_read)
{
    struct object *object = lua_newuserdatauv(L, sizeof *object, 1);

    object->context = context;
    object->ref = *ref;
    object->address = address;
    object->is_read = is_read;
    luaL_setmetatable(L, OBJECT_TYPE);
}

/* Pushes an object with the context of the object that is argument 1. */
static int push_part(lua_State *L, struct context *context, const struct btf_ref *ref,
                     uint64_t address, bool is_read)
{
    push_object(L, context, ref, address, is_read);
    lua_getiuservalue(L, 1, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static uint64_t sign_extended(uint64_t value, unsigned bits, bool is_signed)
{
    if (is_signed && bits > 0 && bits < 64 && value >> (bits - 1))
        value |= UINT64_MAX << bits;
    return value;
}

static int push_integer(lua_State *L, const struct btf_shape *shape, uint64_t value,
                        unsigned bits)
{
    if (shape->is_bool)
        lua_pushboolean(L, value != 0);
    else
        lua_pushinteger(L, (lua_Integer)sign_extended(value, bits, shape->is_signed));
    return 1;
}

static int push_bitfield(lua_State *L, const struct context *context,
                         const struct place *place, const struct btf_shape *shape)
{
    unsigned char bytes[16] = {0};

    if (place->bits > 64)
        return raise_for_object(L, "a bitfield of more than 64 bits");
    read_object_bytes(L, context, place->address, bytes,
                      (place->bit_offset + place->bits + 7) / 8);
    return push_integer(
        L, shape,
        btf_bits(bytes, place->bit_offset, place->bits, context_is_big_endian(context)),
        place->bits);
}

/* A number of 128 bits has no other form in Lua. */
static int push_wide(lua_State *L, const unsigned char *bytes, bool big_endian)
{
    char text[40];

    snprintf(text, sizeof text, "0x%016" PRIx64 "%016" PRIx64,
             bytes_u64(bytes + (big_endian ? 0 : 8), big_endian),
             bytes_u64(bytes + (big_endian ? 8 : 0), big_endian));
    lua_pushstring(L, text);
    return 1;
}

static int push_float(lua_State *L, const unsigned char *bytes, size_t size,
                      bool big_endian)
{
    uint32_t half = bytes_u32(bytes, big_endian);
    uint64_t whole = bytes_u64(bytes, big_endian);
    float narrow;
    double wide;

    memcpy(&narrow, &half, sizeof narrow);
    memcpy(&wide, &whole, sizeof wide);
    lua_pushnumber(L, size == sizeof narrow ? (lua_Number)narrow : (lua_Number)wide);
    return 1;
}

/* A value of a fixed size, at most 16 bytes. */
static int push_scalar(lua_State *L, struct context *context, const struct place *place,
                       const struct btf_shape *shape)
{
    unsigned char bytes[16] = {0};
    bool big_endian = context_is_big_endian(context);
    uint64_t value;

    read_object_bytes(L, context, place->address, bytes, (size_t)shape->size);
    if (shape->size > 8)
        return push_wide(L, bytes, big_endian);
    if (shape->kind == BTF_FLOAT)
        return push_float(L, bytes, (size_t)shape->size, big_endian);
    value = bytes_get(bytes, (unsigned)shape->size, big_endian);
    if (shape->kind != BTF_PTR)
        return push_integer(L, shape, value, (unsigned)shape->size * 8);
    if (value == 0)
        return lua_pushnil(L), 1;
    return push_part(L, context, &place->ref, value, true);
}

/* A char array: the bytes before the first NUL. */
static int push_string(lua_State *L, const struct context *context, uint64_t address,
                       size_t length)
{
    luaL_Buffer buffer;
    bool ended = false;

    luaL_buffinit(L, &buffer);
    for (size_t done = 0, part; done < length && !ended; done += part) {
        char piece[256], *end;

        part = length - done < sizeof piece ? length - done : sizeof piece;
        read_object_bytes(L, context, address + done, piece, part);
        end = memchr(piece, '\0', part);
        ended = end != NULL;
        luaL_addlstring(&buffer, piece, end ? (size_t)(end - piece) : part);
    }
    luaL_pushresult(&buffer);
    return 1;
}

static bool is_string(const struct btf *btf, const struct btf_shape *shape)
{
    struct btf_shape element;

    if (shape->kind != BTF_ARRAY || shape->length == 0 || shape->length > STRING_MAX)
        return false;
    btf_shape(btf, &shape->target, &element);
    return element.is_char;
}

/* Pushes the value at a place: a number, a boolean, a string, an object, or nil. */
int push_value(lua_State *L, struct context *context, const struct place *place)
{
    struct btf_shape shape;

    btf_shape(&context->types->btf, &place->ref, &shape);
    if (place->bits > 0)
        return push_bitfield(L, context, place, &shape);
    switch (shape.kind) {
    case BTF_INT:
    case BTF_ENUM:
    case BTF_ENUM64:
    case BTF_PTR:
        if ((shape.size >= 1 && shape.size <= 8) || shape.size == 16)
            return push_scalar(L, context, place, &shape);
        break;
    case BTF_FLOAT:
        if (shape.size == 4 || shape.size == 8)
            return push_scalar(L, context, place, &shape);
        break;
    case BTF_ARRAY:
        if (is_string(&context->types->btf, &shape))
            return push_string(L, context, place->address, shape.length);
        break;
    default: break;
    }
    return push_part(L, context, &place->ref, place->address, false);
}
