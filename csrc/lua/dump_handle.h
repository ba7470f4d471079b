/* What the files share that bind dumps. A Dump is a Lua table that holds the opened dump at
 * index 1; the functions take that table, so that the ones which loops call often are its
 * methods directly. */
#ifndef QVM_DUMP_HANDLE_H
#define QVM_DUMP_HANDLE_H

#include "binding.h"
#include "dump/dump.h"

#include <string.h>

/* Scripts can change that table, and so can a finalizer whenever Lua allocates. A function
 * that allocates, or calls Lua, before it has done with the handle first puts the handle
 * itself in the place of the table: the stack then keeps it, and it stays the same one.
 * check_dump and check_memory take either. */

/* Replaces the Dump that is an argument by its handle, or the Space by its own; raises
 * where it is neither. */
void pin(lua_State *L, int index);

/* The handle of the Dump that is an argument; *handle is NULL after it was closed. Does not
 * allocate. */
struct dump **check_dump(lua_State *L, int index);

/* Is the value on top of the stack a userdata of the type whose metatable is in the
 * registry at this address? Unlike luaL_testudata it does not allocate. */
bool has_type(lua_State *L, const void *type);

/* Is the value on top of the stack the handle of a dump, of a space? */
bool is_dump_handle(lua_State *L);
bool is_space_handle(lua_State *L);

/* The handle of a Dump or Space at a stack index, or that value if it is one already.
 * Pushes it. */
void push_handle(lua_State *L, int index);

/* Pushes a value, to be closed, that keeps the dump of the handle at a stack index in
 * memory: whatever closes it, it goes when that value does. */
void pin_dump(lua_State *L, int index);

/* Adds methods to the table on top of the stack, each of which finds its first argument
 * pinned and the dump held; with_address: and its second an integer, where the script gave
 * an address or a symbol. */
void add_pinned(lua_State *L, const luaL_Reg *methods, bool with_address);

/* The results of every method of a closed dump. */
int push_closed(lua_State *L);

/* Set a field of the table on top of the stack. */
void set_string(lua_State *L, const char *key, const char *value);
void set_u64(lua_State *L, const char *key, uint64_t value);

/* Adds the functions of spaces to the module table on top of the stack. */
void add_spaces(lua_State *L);

/* Add the methods of elf_parts.c, scans.c and values.c to the table on top of the stack. */
void add_elf_parts(lua_State *L);
void add_scans(lua_State *L);
void add_values(lua_State *L);

/* Adds what the library's limits are to it. */
void add_limits(lua_State *L);

#endif
