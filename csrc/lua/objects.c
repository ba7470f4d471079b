/* Objects: typed places in the kernel's memory, and pointers that were read from it. A
 * member is found and read in one call: scripts walk structures by the thousand. */
#include "objects.h"
#include "util/bytes.h"

static const char CONTEXT[] = "qvm.object.context";

static struct object *check_object(lua_State *L, int index)
{
    struct object *object = luaL_checkudata(L, index, OBJECT_TYPE);

    check_loaded(L, object->context->types);
    return object;
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
        read_object_bytes(L, object->context, address, bytes, size);
        address = bytes_get(bytes, size, context_is_big_endian(object->context));
    }
    if (address == 0)
        raise_for_object(L, "it is NULL");
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
            return raise_for_object(L, "member");
        place.address = pointed_to(L, object);
    } else if (!btf_find_member(btf, shape.id, name, size, &found)) {
        return raise_for_object(L, "member");
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
    uint64_t offset;

    btf_shape(btf, &object->ref, &shape);
    if (shape.kind != BTF_ARRAY && shape.kind != BTF_PTR)
        return raise_for_object(L, "element");
    if (index < 1)
        return raise_for_object(L, "index");
    if (shape.kind == BTF_ARRAY && shape.length > 0 && index > (lua_Integer)shape.length)
        return lua_pushnil(L), 1;
    btf_shape(btf, &shape.target, &element);
    if (!element.has_size)
        return raise_for_object(L, "its elements have no size");
    if (shape.kind == BTF_PTR)
        place.address = pointed_to(L, object);
    offset = (uint64_t)index - 1;
    if (element.size > 0 && offset > (UINT64_MAX - place.address) / element.size)
        return raise_for_object(L, "beyond");
    place.address += offset * element.size;
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
        return raise_for_object(L, "index");
    return push_element(L, object, lua_tointeger(L, 2));
}

static int object_newindex(lua_State *L)
{
    check_object(L, 1);
    return raise_for_object(L, "a dump cannot be changed");
}

static int object_len(lua_State *L)
{
    struct object *object = check_object(L, 1);
    struct btf_shape shape;

    lua_settop(L, 1); /* of the two that Lua hands in */
    btf_shape(&object->context->types->btf, &object->ref, &shape);
    if (shape.kind != BTF_ARRAY)
        return raise_for_object(L, "length");
    lua_pushinteger(L, shape.length);
    return 1;
}

static int object_eq(lua_State *L)
{
    struct object *a = luaL_testudata(L, 1, OBJECT_TYPE),
                  *b = luaL_testudata(L, 2, OBJECT_TYPE);

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
    lua_pushboolean(L, luaL_testudata(L, 1, OBJECT_TYPE) != NULL);
    return 1;
}

/* objects_with(function): raises for objects, see raise_for_object(). */
static int core_objects_with(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, OBJECT_RAISE);
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
    luaL_newmetatable(L, OBJECT_TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_setfield(L, -2, "object_meta");
    luaL_setfuncs(L, functions, 0);
}
