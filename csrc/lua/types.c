/* One type of a kernel: finding it, and what it is made of. The public Type is made of this
 * in lua/qvm/guest/types.lua. */
#include "btf.h"

static const char TYPE[] = "qvm.type";

struct lua_type *check_type_of(lua_State *L, int index)
{
    struct lua_type *type = luaL_checkudata(L, index, TYPE);

    check_loaded(L, type->types);
    return type;
}

void push_type(lua_State *L, int types, const struct btf_ref *ref)
{
    struct lua_type *type;

    types = lua_absindex(L, types);
    type = lua_newuserdatauv(L, sizeof *type, 1);
    type->types = lua_touserdata(L, types);
    type->ref = *ref;
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, types);
    lua_setiuservalue(L, -2, 1);
}

/* Pushes another type of the same types as the one that is argument 1. */
static void push_related(lua_State *L, const struct btf_ref *ref)
{
    lua_getiuservalue(L, 1, 1);
    push_type(L, -1, ref);
    lua_remove(L, -2);
}

/* Finding --------------------------------------------------------------------------------
 */

static const char *const kind_names[BTF_KINDS] = {
    [BTF_VOID] = "void",         [BTF_INT] = "int",
    [BTF_PTR] = "pointer",       [BTF_ARRAY] = "array",
    [BTF_STRUCT] = "struct",     [BTF_UNION] = "union",
    [BTF_ENUM] = "enum",         [BTF_FWD] = "forward",
    [BTF_TYPEDEF] = "typedef",   [BTF_VOLATILE] = "volatile",
    [BTF_CONST] = "const",       [BTF_RESTRICT] = "restrict",
    [BTF_FUNC] = "function",     [BTF_FUNC_PROTO] = "prototype",
    [BTF_VAR] = "variable",      [BTF_DATASEC] = "section",
    [BTF_FLOAT] = "float",       [BTF_DECL_TAG] = "decl_tag",
    [BTF_TYPE_TAG] = "type_tag", [BTF_ENUM64] = "enum64",
};

/* The kinds that the name of one means: an enum may be of either kind. */
static unsigned check_kinds(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    unsigned kinds = 0;

    for (unsigned kind = 1; kind < BTF_KINDS; kind++)
        if (strcmp(kind_names[kind], name) == 0)
            kinds |= BTF_MASK(kind);
    if (kinds & BTF_MASK(BTF_ENUM))
        kinds |= BTF_MASK(BTF_ENUM64);
    luaL_argcheck(L, kinds != 0, index, "a kind of type expected");
    return kinds;
}

/* btf_find(types, name, kind): a type, or nil. */
static int core_btf_find(lua_State *L)
{
    struct types *types = check_types(L, 1);
    size_t size;
    const char *name = luaL_checklstring(L, 2, &size);
    struct btf_ref ref = {0};

    ref.id = btf_find(&types->btf, name, size, check_kinds(L, 3));
    if (ref.id == 0)
        return 0;
    push_type(L, 1, &ref);
    return 1;
}

/* btf_names(types, prefix, kind, most): an array of names that begin so, at most so many.
 * A name may come twice. */
static int core_btf_names(lua_State *L)
{
    struct types *types = check_types(L, 1);
    size_t size;
    const char *prefix = luaL_checklstring(L, 2, &size);
    unsigned kinds = check_kinds(L, 3);
    lua_Integer most = luaL_checkinteger(L, 4);
    uint32_t id = 0;

    lua_newtable(L);
    for (lua_Integer i = 1; i <= most; i++) {
        id = btf_next_like(&types->btf, id, prefix, size, kinds);
        if (id == 0)
            break;
        lua_pushstring(L, btf_type(&types->btf, id).name);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* types_of(type): the types that it is one of. */
static int core_types_of(lua_State *L)
{
    check_type_of(L, 1);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

/* btf_type(types, id): a type; id 0 is void. Nothing behind the last. */
static int core_btf_type(lua_State *L)
{
    struct types *types = check_types(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    struct btf_ref ref = {0};

    if (id < 0 || (uint64_t)id >= types->btf.end_id)
        return 0;
    ref.id = (uint32_t)id;
    push_type(L, 1, &ref);
    return 1;
}

/* What a type is itself, before anything is resolved. */
static void push_kind(lua_State *L, const struct btf_type *type, const struct btf_ref *ref,
                      const struct btf_shape *shape)
{
    bool derived = ref->depth > 0;
    enum btf_kind kind = derived ? shape->kind : type->kind;

    if (kind == BTF_INT && shape->is_bool)
        lua_pushliteral(L, "bool");
    else
        lua_pushstring(L, kind_names[kind == BTF_ENUM64 ? BTF_ENUM : kind]);
    lua_pushstring(L, derived ? "" : type->name);
}

/* type_about(type): kind, name, size or nil, length or nil, target or nil, is it a union's
 * forward declaration. */
static int core_type_about(lua_State *L)
{
    struct lua_type *type = check_type_of(L, 1);
    const struct btf *btf = &type->types->btf;
    struct btf_type of = btf_type(btf, type->ref.id);
    struct btf_shape shape;
    struct btf_ref target;

    btf_shape(btf, &type->ref, &shape);
    push_kind(L, &of, &type->ref, &shape);
    if (shape.has_size)
        lua_pushinteger(L, (lua_Integer)shape.size);
    else
        lua_pushnil(L);
    if (shape.kind == BTF_ARRAY)
        lua_pushinteger(L, shape.length);
    else
        lua_pushnil(L);
    if (btf_target(btf, &type->ref, &target))
        push_related(L, &target);
    else
        lua_pushnil(L);
    lua_pushboolean(L, type->ref.depth == 0 && of.kind == BTF_FWD && of.flag);
    return 6;
}

/* type_shape(type): the kind without typedefs and modifiers, and the type of that kind. */
static int core_type_shape(lua_State *L)
{
    struct lua_type *type = check_type_of(L, 1);
    struct btf_shape shape;
    struct btf_ref ref = type->ref;

    btf_shape(&type->types->btf, &type->ref, &shape);
    lua_pushstring(L, kind_names[shape.kind == BTF_ENUM64 ? BTF_ENUM : shape.kind]);
    if (ref.depth == 0)
        ref.id = shape.id;
    push_related(L, &ref);
    return 2;
}

static int push_place(lua_State *L, const struct btf_ref *ref, uint64_t bit_offset,
                      uint32_t bits)
{
    push_related(L, ref);
    lua_pushinteger(L, (lua_Integer)(bit_offset / 8));
    if (bits == 0)
        return 2;
    lua_pushinteger(L, (lua_Integer)(bit_offset % 8));
    lua_pushinteger(L, bits);
    return 4;
}

static int push_enumerator(lua_State *L, const struct btf *btf, const struct btf_type *type,
                           uint32_t index)
{
    uint64_t value;

    lua_pushstring(L, btf_enumerator(btf, type, index, &value));
    lua_pushinteger(L, (lua_Integer)value);
    return 2;
}

static int push_parameter(lua_State *L, const struct btf *btf, const struct btf_type *type,
                          uint32_t index)
{
    struct btf_ref ref = {0};

    lua_pushstring(L, btf_parameter(btf, type, index, &ref.id));
    push_related(L, &ref);
    lua_pushboolean(L, ref.id == 0 && index + 1 == type->count);
    return 3;
}

static int push_variable(lua_State *L, const struct btf *btf, const struct btf_type *type,
                         uint32_t index)
{
    struct btf_ref ref = {0};
    uint32_t offset;

    ref.id = btf_section_variable(btf, type, index, &offset);
    lua_pushstring(L, btf_type(btf, ref.id).name);
    push_related(L, &ref);
    lua_pushinteger(L, offset);
    return 3;
}

/* type_part(type, index from 0): of a structure a member's name, type, offset in bytes and,
 * for a bitfield, its first bit and number of bits; of an enum a name and its value; of a
 * function a parameter's name, type, is it "..."; of a section a variable's name, type,
 * offset in bytes. Nothing after the last. */
static int core_type_part(lua_State *L)
{
    struct lua_type *type = check_type_of(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2);
    const struct btf *btf = &type->types->btf;
    struct btf_shape shape;
    struct btf_type of;
    struct btf_member member;
    struct btf_ref ref = {0};

    btf_shape(btf, &type->ref, &shape);
    of = btf_type(btf, shape.id);
    if (index < 0 || index >= of.count)
        return 0;
    if (of.kind == BTF_ENUM || of.kind == BTF_ENUM64)
        return push_enumerator(L, btf, &of, (uint32_t)index);
    if (of.kind == BTF_FUNC_PROTO)
        return push_parameter(L, btf, &of, (uint32_t)index);
    if (of.kind == BTF_DATASEC)
        return push_variable(L, btf, &of, (uint32_t)index);
    if (of.kind != BTF_STRUCT && of.kind != BTF_UNION)
        return 0;
    member = btf_member(btf, &of, (uint32_t)index);
    lua_pushstring(L, member.name);
    ref.id = member.type;
    return 1 + push_place(L, &ref, member.bit_offset, member.bits);
}

/* type_member(type, name): its type, offset in bytes and, for a bitfield, its first bit and
 * number of bits; nothing where there is no such member. */
static int core_type_member(lua_State *L)
{
    struct lua_type *type = check_type_of(L, 1);
    size_t size;
    const char *name = luaL_checklstring(L, 2, &size);
    struct btf_shape shape;
    struct btf_found found;
    struct btf_ref ref = {0};

    btf_shape(&type->types->btf, &type->ref, &shape);
    if (!btf_find_member(&type->types->btf, shape.id, name, size, &found))
        return 0;
    ref.id = found.type;
    return push_place(L, &ref, found.bit_offset, found.bits);
}

/* type_pointer(type): the type of a pointer to it; nothing if that is too deep. */
static int core_type_pointer(lua_State *L)
{
    struct btf_ref ref;

    if (!btf_pointer_to(&check_type_of(L, 1)->ref, &ref))
        return 0;
    push_related(L, &ref);
    return 1;
}

/* type_array(type, length): the type of an array of it; nothing if that is too deep. */
static int core_type_array(lua_State *L)
{
    struct lua_type *type = check_type_of(L, 1);
    lua_Integer length = luaL_checkinteger(L, 2);
    struct btf_ref ref;

    luaL_argcheck(L, length >= 0 && length <= UINT32_MAX, 2, "length of an array expected");
    if (!btf_array_of(&type->ref, (uint32_t)length, &ref))
        return 0;
    push_related(L, &ref);
    return 1;
}

static int type_eq(lua_State *L)
{
    struct lua_type *a = check_type_of(L, 1), *b = check_type_of(L, 2);

    lua_pushboolean(L, a->types == b->types && btf_same_ref(&a->ref, &b->ref));
    return 1;
}

void add_types(lua_State *L)
{
    static const luaL_Reg functions[] = {{"btf_find", core_btf_find},
                                         {"btf_names", core_btf_names},
                                         {"btf_type", core_btf_type},
                                         {"type_about", core_type_about},
                                         {"type_shape", core_type_shape},
                                         {"type_part", core_type_part},
                                         {"type_member", core_type_member},
                                         {"type_pointer", core_type_pointer},
                                         {"type_array", core_type_array},
                                         {"types_of", core_types_of},
                                         {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, type_eq);
    lua_setfield(L, -2, "__eq");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
