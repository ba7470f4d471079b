/* Objects: typed places in the kernel's memory, and pointers that were read from it. A
 * member is found and read in one call: scripts walk structures by the thousand. */
#include "btf.h"
#include "util/bytes.h"

#include <inttypes.h>

static const char CONTEXT[] = "qvm.object.context", OBJECT[] = "qvm.object";
static const char RAISE[] = "qvm.object.raise";

/* A char array of more bytes than this is an Object, not a string. */
enum { STRING_MAX = 1 << 20 };

/* What the objects of a dump share: a userdata whose user values are the types, the space,
 * and the value that object_about() returns. */
struct context {
    struct types *types;
    struct space_handle *space;
};

struct object {
    struct context *context;
    struct btf_ref ref;
    uint64_t address; /* of the object; of a pointer that was read: what it points to */
    bool is_read;     /* a pointer, and that is its value */
};

/* A value in memory: an object, or a part of one. */
struct place {
    struct btf_ref ref;
    uint64_t address;
    unsigned bit_offset, bits; /* of a bitfield; bits 0: it is none */
};

static struct object *check_object(lua_State *L, int index)
{
    struct object *object = luaL_checkudata(L, index, OBJECT);

    check_loaded(L, object->context->types);
    return object;
}

/* Raises by the function that Lua gave to objects_with: function(what, object, key), where
 * the key is argument 2, if there is one. */
static int raise(lua_State *L, const char *what)
{
    luaL_checkstack(L, 5, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, RAISE);
    lua_pushstring(L, what);
    lua_pushvalue(L, 1);
    if (lua_gettop(L) > 3)
        lua_pushvalue(L, 2);
    else
        lua_pushnil(L);
    lua_call(L, 3, 0);
    return luaL_error(L, "%s", what);
}

static int raise_read_failure(lua_State *L, const struct qvm_error *err)
{
    char text[QVM_MESSAGE_SIZE];

    if (err->code == QVM_NO_MEMORY)
        return raise_failure(L, err);
    push_escaped(L, text, qvm_error_text(err, text, sizeof text), false);
    return raise(L, lua_tostring(L, -1));
}

/* Reading --------------------------------------------------------------------------------
 */

/* The context stays, since the object is argument 1. */
static bool read_bytes(lua_State *L, const struct context *context, uint64_t address,
                       void *to, size_t n)
{
    struct qvm_error err;

    while (*context->space->dump) {
        dump_map(*context->space->dump);
        if (space_read(&context->space->space, address, to, n, &err) == 0)
            return true;
        if (!poll_incomplete(L, &err))
            return raise_read_failure(L, &err), false;
    }
    return raise(L, "the dump is closed"), false;
}

static bool is_big_endian(const struct context *context)
{
    return *context->space->dump && (*context->space->dump)->elf.big_endian;
}

static void push_object(lua_State *L, struct context *context, const struct btf_ref *ref,
                        uint64_t address, bool is_read)
{
    struct object *object = lua_newuserdatauv(L, sizeof *object, 1);

    object->context = context;
    object->ref = *ref;
    object->address = address;
    object->is_read = is_read;
    luaL_setmetatable(L, OBJECT);
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
        return raise(L, "a bitfield of more than 64 bits");
    read_bytes(L, context, place->address, bytes,
               (place->bit_offset + place->bits + 7) / 8);
    return push_integer(
        L, shape, btf_bits(bytes, place->bit_offset, place->bits, is_big_endian(context)),
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
    unsigned char bytes[16];
    bool big_endian = is_big_endian(context);
    uint64_t value;

    read_bytes(L, context, place->address, bytes, (size_t)shape->size);
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
        read_bytes(L, context, address + done, piece, part);
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
static int push_value(lua_State *L, struct context *context, const struct place *place)
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

/* Members and elements -------------------------------------------------------------------
 */

/* What a pointer points to: by its value, or by the one that is at its place. */
static uint64_t pointed_to(lua_State *L, const struct object *object)
{
    unsigned char bytes[8];
    unsigned size = object->context->types->btf.pointer_size;
    uint64_t address = object->address;

    if (!object->is_read) {
        read_bytes(L, object->context, address, bytes, size);
        address = bytes_get(bytes, size, is_big_endian(object->context));
    }
    if (address == 0)
        raise(L, "it is NULL");
    return address;
}

static int push_member(lua_State *L, const struct object *object, const char *name,
                       size_t size)
{
    struct btf *btf = &object->context->types->btf;
    struct place place = {.address = object->address};
    struct btf_shape shape;
    struct btf_found found;

    btf_shape(btf, &object->ref, &shape);
    if (shape.kind == BTF_PTR) {
        struct btf_ref target = shape.target;

        btf_shape(btf, &target, &shape);
        if (!btf_find_member(btf, shape.id, name, size, &found))
            return raise(L, "member");
        place.address = pointed_to(L, object);
    } else if (!btf_find_member(btf, shape.id, name, size, &found)) {
        return raise(L, "member");
    }
    place.ref.id = found.type;
    place.address += found.bit_offset / 8;
    place.bit_offset = (unsigned)(found.bit_offset % 8);
    place.bits = found.bits;
    return push_value(L, object->context, &place);
}

/* Elements count from 1. An array's end is nil, so that ipairs ends there; a pointer and an
 * array of unknown length have none. */
static int push_element(lua_State *L, const struct object *object, lua_Integer index)
{
    const struct btf *btf = &object->context->types->btf;
    struct place place = {.address = object->address};
    struct btf_shape shape, element;

    btf_shape(btf, &object->ref, &shape);
    if (shape.kind != BTF_ARRAY && shape.kind != BTF_PTR)
        return raise(L, "element");
    if (index < 1)
        return raise(L, "index");
    if (shape.kind == BTF_ARRAY && shape.length > 0 && index > (lua_Integer)shape.length)
        return lua_pushnil(L), 1;
    btf_shape(btf, &shape.target, &element);
    if (!element.has_size)
        return raise(L, "its elements have no size");
    if (shape.kind == BTF_PTR)
        place.address = pointed_to(L, object);
    place.address += ((uint64_t)index - 1) * element.size;
    place.ref = shape.target;
    return push_value(L, object->context, &place);
}

static int object_index(lua_State *L)
{
    struct object *object = check_object(L, 1);
    size_t size;
    const char *name;

    if (lua_type(L, 2) == LUA_TSTRING) {
        name = lua_tolstring(L, 2, &size);
        return push_member(L, object, name, size);
    }
    if (!lua_isinteger(L, 2))
        return raise(L, "index");
    return push_element(L, object, lua_tointeger(L, 2));
}

static int object_newindex(lua_State *L)
{
    check_object(L, 1);
    return raise(L, "a dump cannot be changed");
}

static int object_len(lua_State *L)
{
    struct object *object = check_object(L, 1);
    struct btf_shape shape;

    lua_settop(L, 1); /* of the two that Lua hands in */
    btf_shape(&object->context->types->btf, &object->ref, &shape);
    if (shape.kind != BTF_ARRAY)
        return raise(L, "length");
    lua_pushinteger(L, shape.length);
    return 1;
}

static int object_eq(lua_State *L)
{
    struct object *a = luaL_testudata(L, 1, OBJECT), *b = luaL_testudata(L, 2, OBJECT);

    lua_pushboolean(L, a && b && a->context->space == b->context->space &&
                           a->context->types == b->context->types &&
                           a->address == b->address && a->is_read == b->is_read &&
                           btf_same_ref(&a->ref, &b->ref));
    return 1;
}

/* Functions ------------------------------------------------------------------------------
 */

/* object_context(types, space, any value) */
static int core_object_context(lua_State *L)
{
    struct types *types = check_types(L, 1);
    struct context *context;

    lua_settop(L, 3);
    pin(L, 2);
    lua_pushvalue(L, 2);
    luaL_argexpected(L, is_space_handle(L), 2, "Space");
    context = lua_newuserdatauv(L, sizeof *context, 3);
    context->types = types;
    context->space = lua_touserdata(L, 2);
    luaL_setmetatable(L, CONTEXT);
    for (int i = 1; i <= 3; i++) {
        lua_pushvalue(L, i);
        lua_setiuservalue(L, -2, i);
    }
    return 1;
}

/* object(context, type, address, is it the value of a pointer) */
static int core_object(lua_State *L)
{
    struct context *context = luaL_checkudata(L, 1, CONTEXT);
    struct lua_type *type = check_type_of(L, 2);
    uint64_t address = (uint64_t)luaL_checkinteger(L, 3);
    struct btf_shape shape;

    luaL_argcheck(L, type->types == context->types, 2, "a type of other types");
    btf_shape(&type->types->btf, &type->ref, &shape);
    push_object(L, context, &type->ref, address,
                shape.kind == BTF_PTR && lua_toboolean(L, 4));
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/* object_about(object): type, address, is it the value of a pointer, context, the value
 * that its context was made with. */
static int core_object_about(lua_State *L)
{
    struct object *object = check_object(L, 1);

    lua_settop(L, 1);
    lua_getiuservalue(L, 1, 1);
    lua_getiuservalue(L, 2, 1);
    push_type(L, -1, &object->ref);
    lua_pushinteger(L, (lua_Integer)object->address);
    lua_pushboolean(L, object->is_read);
    lua_pushvalue(L, 2);
    lua_getiuservalue(L, 2, 3);
    return 5;
}

/* object_value(object): what a member of that type would be. */
static int core_object_value(lua_State *L)
{
    struct object *object = check_object(L, 1);
    struct place place = {.ref = object->ref, .address = object->address};

    lua_settop(L, 1);
    if (object->is_read)
        return 1;
    return push_value(L, object->context, &place);
}

static int core_is_object(lua_State *L)
{
    lua_pushboolean(L, luaL_testudata(L, 1, OBJECT) != NULL);
    return 1;
}

/* objects_with(function): raises for objects, see raise(). */
static int core_objects_with(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, RAISE);
    return 0;
}

void add_objects(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__index", object_index},
                                    {"__newindex", object_newindex},
                                    {"__len", object_len},
                                    {"__eq", object_eq},
                                    {NULL, NULL}};
    static const luaL_Reg functions[] = {{"object_context", core_object_context},
                                         {"object", core_object},
                                         {"object_about", core_object_about},
                                         {"object_value", core_object_value},
                                         {"is_object", core_is_object},
                                         {"objects_with", core_objects_with},
                                         {NULL, NULL}};

    luaL_newmetatable(L, CONTEXT);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_newmetatable(L, OBJECT);
    luaL_setfuncs(L, meta, 0);
    lua_setfield(L, -2, "object_meta");
    luaL_setfuncs(L, functions, 0);
}
