/* Handles of dumps, which all files share that bind dumps.
 *
 * A Dump is a Lua table that has its handle, a userdata, at index 1. The functions take
 * that table, so that those that loops call often are its methods directly.
 *
 * Scripts can change the table, and so can a finalizer whenever Lua allocates. A function
 * that allocates, or calls Lua, before it is done with the dump therefore pins it first:
 * the handle takes the place of the table among the arguments, where nothing can exchange
 * it, and the dump stays in memory until the function returns, even if it is closed
 * meanwhile. add_pinned() does that for whole methods. check_dump() and check_memory() take
 * either. */
#ifndef QVM_DUMP_HANDLE_H
#define QVM_DUMP_HANDLE_H

#include "binding.h"
#include "dump/dump.h"

#include <string.h>

/* Makes the types of the handles. To be called once. */
void add_handle_types(lua_State *L);

/* Pushes the handle of a closed dump, to be set by the caller. It keeps the path, a string
 * at a stack index, which the dump and its errors refer to. */
struct dump **new_handle(lua_State *L, int path);

/* The handle of the Dump that is an argument; *handle is NULL after it was closed. Does not
 * allocate. */
struct dump **check_dump(lua_State *L, int index);

/* close(dump): the dump goes at once, or when the last function that has pinned it returns.
 */
int method_close(lua_State *L);

/* Replaces the Dump that is an argument by its handle, or the Space by its own; raises if
 * it is neither. */
void pin(lua_State *L, int index);

/* Pushes a value, to be closed, that keeps the dump of the handle at a stack index in
 * memory until then. */
void pin_dump(lua_State *L, int index);

/* Pops the values above a stack index, and closes the pins among them. */
void unpin(lua_State *L, int top);

/* Adds methods to the table on top of the stack. Each finds its first argument pinned, and
 * with `with_address` its second an integer, where the script gave an address or a symbol.
 */
void add_pinned(lua_State *L, const luaL_Reg *methods, bool with_address);

/* True if the value on top of the stack is a userdata of the type whose metatable is in the
 * registry at this address. Unlike luaL_testudata() it does not allocate. */
bool has_type(lua_State *L, const void *type);

/* True if the value on top of the stack is the handle of a dump, of a space. */
bool is_dump_handle(lua_State *L);
bool is_space_handle(lua_State *L);

/* Pushes the handle of the Dump or Space at a stack index, or that value if it is a handle
 * already. */
void push_handle(lua_State *L, int index);

/* Pushes what every method of a closed dump returns, and returns the number of values. */
int push_closed(lua_State *L);

/* Set a field of the table on top of the stack. */
void set_string(lua_State *L, const char *key, const char *value);
void set_u64(lua_State *L, const char *key, uint64_t value);

/* Adds the functions of spaces to the module table on top of the stack. */
void add_spaces(lua_State *L);

/* Add the methods of these files to the table on top of the stack. */
void add_elf_parts(lua_State *L);
void add_scans(lua_State *L);
void add_values(lua_State *L);
void add_vcpus(lua_State *L);

/* Adds the library's limits to it. */
void add_limits(lua_State *L);

#endif
