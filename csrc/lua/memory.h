/* Memory that scripts read: of a dump by physical address, or of an address space of one by
 * virtual address. */
#ifndef QVM_LUA_MEMORY_H
#define QVM_LUA_MEMORY_H

#include "dump_handle.h"
#include "paging/address_space.h"

struct opened_memory {
    struct dump *dump;     /* NULL: closed */
    struct space *space;   /* NULL: physical addresses */
    struct memory *memory; /* of the one or the other */
};

/* The handle of a space: a userdata that the Space, a table, has at index 1, as a Dump has
 * its own. Its user value is the handle of the dump. */
struct space_handle {
    struct space space;
    struct dump **dump;
};

/* The memory of the Dump or Space that is argument 1. Does not allocate. */
struct opened_memory check_memory(lua_State *L);

/* The address that is the argument at an index: an integer, or a symbol ("schedule",
 * "schedule+0x10"), whose address Lua finds. False if there is no such symbol: that failure
 * is on top of the stack, and the function returns ADDRESS_FAILURE. Since a symbol runs
 * Lua, call check_memory after this. */
bool get_address(lua_State *L, int index, uint64_t *address);

enum { ADDRESS_FAILURE = 3 };

/* Adds resolve_with(function) to the module table on top of the stack: function(Dump or
 * Space, symbol) returns an address, or nil, message, code. */
void add_addresses(lua_State *L);

#endif
