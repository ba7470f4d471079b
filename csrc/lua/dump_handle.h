/* What the files share that bind dumps. A Dump is a Lua table that holds the opened dump at
 * index 1; the functions take that table, so that the ones which loops call often are its
 * methods directly. */
#ifndef QVM_DUMP_HANDLE_H
#define QVM_DUMP_HANDLE_H

#include "binding.h"
#include "dump/dump.h"

#include <string.h>

/* The handle of the Dump that is argument 1; *handle is NULL after it was closed. */
struct dump **check_dump(lua_State *L);

/* Is the value on top of the stack such a handle? */
bool is_dump_handle(lua_State *L);

/* The handle itself, at a stack index; raises where it is none. */
struct dump **dump_handle(lua_State *L, int index);

/* Pushes a value, to be closed, that keeps the dump of the handle at a stack index in
 * memory: whatever closes it, it goes when that value does. */
void hold_dump(lua_State *L, int index);

/* Adds methods to the table on top of the stack, each of which holds the dump of its first
 * argument while it runs. */
void add_held(lua_State *L, const luaL_Reg *methods);

/* The results of every method of a closed dump. */
int push_closed(lua_State *L);

/* Set a field of the table on top of the stack. */
void set_string(lua_State *L, const char *key, const char *value);
void set_u64(lua_State *L, const char *key, uint64_t value);

/* Adds the functions of spaces to the module table on top of the stack. */
void add_spaces(lua_State *L);

/* Add the methods of parts.c, passes.c and values.c to the table on top of the stack. */
void add_dump_parts(lua_State *L);
void add_passes(lua_State *L);
void add_values(lua_State *L);

/* Adds what the library's limits are to it. */
void add_limits(lua_State *L);

#endif
