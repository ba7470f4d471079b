/* Binds host/vm_directory.h, env_document.h and vm_server.h: discovery, the env document
 * and requests, all as functions of paths. What the core allocates is in a scratch userdata
 * (new_scratch), whose collection frees it if Lua raises an error midway. */
#include "binding.h"
#include "host/env_document.h"
#include "host/vm_directory.h"
#include "host/vm_server.h"
#include "host/vm_thread.h"
#include "util/os.h"

static const char DIRECTORY[] = "qvm.vm_directory", DOCUMENT[] = "qvm.env_document";

static int directory_gc(lua_State *L)
{
    vm_directory_close(lua_touserdata(L, 1));
    return 0;
}

static int document_gc(lua_State *L)
{
    env_document_free(lua_touserdata(L, 1));
    return 0;
}

typedef int directory_opener(struct vm_directory *directory, const char *path,
                             struct qvm_error *err);

/* Pushes an array of the names that vm_directory_next() returns. An error midway makes the
 * whole list a failure: an incomplete one would look like VMs that are gone. */
static int push_names(lua_State *L, directory_opener *open)
{
    const char *path = luaL_checkstring(L, 1), *name;
    struct vm_directory *directory =
        new_scratch(L, sizeof *directory, DIRECTORY, directory_gc);
    lua_Integer count = 0;
    struct qvm_error err;

    if (open(directory, path, &err) != 0)
        return push_failure(L, &err);
    lua_newtable(L);
    while ((name = vm_directory_next(directory)) != NULL) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, ++count);
    }
    vm_directory_close(directory);
    if (directory->error == 0)
        return 1;
    qvm_fail_errno(&err, directory->error, path);
    return push_failure(L, &err);
}

/* names(root): an array of the systems that have an env, unsorted. */
static int core_names(lua_State *L)
{
    return push_names(L, vm_directory_open_root);
}

/* entries(directory): an array of all names in it but env, unsorted. */
static int core_entries(lua_State *L)
{
    return push_names(L, vm_directory_open_nodes);
}

/* is_name(name): whether it can be the name of a system or vdev. */
static int core_is_name(lua_State *L)
{
    size_t size;
    const char *name = luaL_checklstring(L, 1, &size);

    lua_pushboolean(L, vm_directory_is_name(name, size));
    return 1;
}

/* The deadline for a server's answer, from an argument in milliseconds. */
static int64_t get_deadline(lua_State *L, int index)
{
    lua_Integer wait = luaL_optinteger(L, index, ENV_WAIT_MS);

    luaL_argcheck(L, wait >= 0 && wait <= ENV_WAIT_MS, index, "out of range");
    return os_clock_ms() + wait;
}

static int push_document(lua_State *L, struct env_document *document)
{
    lua_pushlstring(L, document->bytes, document->size);
    env_document_free(document);
    return 1;
}

/* read_env(path [, milliseconds]): the document's bytes. */
static int core_read_env(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int64_t deadline = get_deadline(L, 2);
    struct env_document *document = new_scratch(L, sizeof *document, DOCUMENT, document_gc);
    struct qvm_error err;

    return env_document_read(path, deadline, document, &err) == 0
               ? push_document(L, document)
               : push_failure(L, &err);
}

/* read_file(path): the bytes of a regular file. */
static int core_read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct env_document *document = new_scratch(L, sizeof *document, DOCUMENT, document_gc);
    struct qvm_error err;

    return env_document_read_file(path, document, &err) == 0 ? push_document(L, document)
                                                             : push_failure(L, &err);
}

/* pid(path of an env [, milliseconds]): the id of the process that serves it. */
static int core_pid(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int64_t deadline = get_deadline(L, 2);
    struct qvm_error err;
    pid_t pid = 0;

    if (vm_server_find(path, deadline, &pid, &err) != 0)
        return push_failure(L, &err);
    lua_pushinteger(L, pid);
    return 1;
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* thread(path of an env, tid): a table about that thread of the process that serves it. */
static int core_thread(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_Integer tid = luaL_checkinteger(L, 2);
    struct vm_thread thread;
    struct qvm_error err;

    if (vm_thread_read(path, tid, os_clock_ms() + ENV_WAIT_MS, &thread, &err) != 0)
        return push_failure(L, &err);
    lua_createtable(L, 0, 4);
    set_integer(L, "cpu_time", (int64_t)thread.cpu_time);
    set_integer(L, "priority", thread.priority);
    set_text(L, "state", thread.state);
    if (*thread.name)
        set_text(L, "name", thread.name);
    return 1;
}

/* request(path of an env, "status" or "dump"): true, when the signal was sent. */
static int core_request(lua_State *L)
{
    static const char *const names[] = {"status", "dump", NULL};
    static const enum vm_request requests[] = {VM_REQUEST_STATUS, VM_REQUEST_DUMP};
    const char *path = luaL_checkstring(L, 1);
    enum vm_request what = requests[luaL_checkoption(L, 2, NULL, names)];
    struct qvm_error err;

    if (vm_server_request(path, what, os_clock_ms() + ENV_WAIT_MS, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

void add_vm(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"names", core_names},
        {"entries", core_entries},
        {"is_name", core_is_name},
        {"read_env", core_read_env},
        {"read_file", core_read_file},
        {"pid", core_pid},
        {"request", core_request},
        {"thread", core_thread},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
