/* Objects, as the binding's files share them. */
#ifndef QVM_LUA_OBJECTS_H
#define QVM_LUA_OBJECTS_H

#include "btf.h"

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

/* Raises by the function that Lua gave to objects_with: function(what, object, key), where
 * the object is argument 1 and the key argument 2, if there is one. Does not return. */
int raise_for_object(lua_State *L, const char *what);

/* Reads the kernel's memory; raises if it cannot be read. The object is argument 1. */
void read_object_bytes(lua_State *L, const struct context *context, uint64_t address,
                       void *to, size_t n);

bool context_is_big_endian(const struct context *context);

/* Pushes an object, whose context the caller sets as its user value. */
void push_object(lua_State *L, struct context *context, const struct btf_ref *ref,
                 uint64_t address, bool is_read);

/* Pushes the value at a place: a number, a boolean, a string, an object, or nil. An object
 * has the context of the object that is argument 1. */
int push_value(lua_State *L, struct context *context, const struct place *place);

/* The names of the metatable of objects, and of what raises for them, in the registry. */
extern const char OBJECT_TYPE[], OBJECT_RAISE[];

#endif
