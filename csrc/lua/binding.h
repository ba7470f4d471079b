/* What the files of the binding share. Each file turns one part of the core into functions
 * of the private module qvm.core; the public API is made of these in Lua.
 *
 * A function checks its arguments, calls the core, and converts the result. Runtime
 * failures are returned as nil, message, code; programming errors and lack of memory raise.
 * Lua may raise an error wherever it allocates, so nothing that must be freed is held by a
 * C variable alone: it is in a userdata before Lua is called. */
#ifndef QVM_BINDING_H
#define QVM_BINDING_H

#include "util/error.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#if LUA_VERSION_NUM != 504
#    error "qvm is for Lua 5.4"
#endif

/* Pushes nil, message, code and returns 3; raises lack of memory. The message is complete
 * before Lua is called, so the error's strings need not live longer. */
int push_failure(lua_State *L, const struct qvm_error *err);

/* The same for errno, of a call about `subject`. */
int push_errno(lua_State *L, const char *subject);

/* The same, "busy", for the path of a new file or directory that is taken. */
int push_exists(lua_State *L, const char *path);

/* Raises the message, where a failure cannot be returned. Does not return. */
int raise_failure(lua_State *L, const struct qvm_error *err);

/* Pushes a text, escaped: see text.h. */
void push_escaped(lua_State *L, const char *text, size_t size, bool json);

/* Runs hooks: in the standalone interpreter that is how Ctrl-C arrives. May raise. */
void poll_interrupt(lua_State *L);

/* True if the operation is merely incomplete: runs hooks; call again. */
bool poll_incomplete(lua_State *L, const struct qvm_error *err);

/* Pushes a zeroed userdata whose collection frees what the core has put into it, so that
 * nothing is lost if Lua raises an error before the function has freed it. */
void *new_scratch(lua_State *L, size_t size, const char *type, lua_CFunction gc);

/* Makes the type of an iterator's state: a userdata whose resources `close` frees, when a
 * loop ends or is left, or when it is collected; it must allow a second call. */
void new_iterator_type(lua_State *L, const char *type, lua_CFunction close);

/* Returns the four values of a generic for, as the results of a C function: `next`, whose
 * upvalue is the state on top of the stack, two nils, and that state, to be closed. */
int push_iterator(lua_State *L, lua_CFunction next);

/* The descriptor of an open file of Lua's io library or of open_file. */
int check_file(lua_State *L, int index);

/* Returns a regular file that is open as `fd` as a file of the io library, at its
 * beginning, as the results of a function. They share their position. */
int push_duplicate(lua_State *L, int fd, const char *path);

/* Each adds its functions to the module table on top of the stack. */
void add_json(lua_State *L);
void add_directories(lua_State *L);
void add_dump(lua_State *L);
void add_files(lua_State *L);
void add_kallsyms(lua_State *L);
void add_orc(lua_State *L);
void add_text(lua_State *L);
void add_slog2(lua_State *L);
void add_symbols(lua_State *L);
void add_terminal(lua_State *L);
void add_vm(lua_State *L);
void add_vm_query(lua_State *L);
void add_dir_watch(lua_State *L);

#endif
