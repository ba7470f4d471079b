/* Types and objects, as the binding's files share them. */
#ifndef QVM_LUA_BTF_H
#define QVM_LUA_BTF_H

#include "guest/btf_ref.h"
#include "memory.h"

/* The types of a kernel: a userdata. Its user values keep the bytes and the base. */
struct types {
    struct btf btf;
};

/* One type: a userdata whose user value is the types. */
struct lua_type {
    struct types *types;
    struct btf_ref ref;
};

/* Raises if they were freed. */
void check_loaded(lua_State *L, const struct types *types);

struct types *check_types(lua_State *L, int index);
struct lua_type *check_type_of(lua_State *L, int index);

/* Pushes a type of the types that are at a stack index. */
void push_type(lua_State *L, int types, const struct btf_ref *ref);

/* Add functions to the module table on top of the stack. */
void add_btf(lua_State *L);
void add_types(lua_State *L);
void add_objects(lua_State *L);

#endif
