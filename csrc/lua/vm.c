/* Discovery, env and requests: functions of paths. */
#include "binding.h"
#include "host/env_document.h"
#include "host/vm_directory.h"
#include "host/vm_server.h"
#include "util/os.h"

static const char LIST_TYPE[] = "qvm.list", TEXT_TYPE[] = "qvm.text";

static int list_gc(lua_State *L)
{
    vm_directory_close(lua_touserdata(L, 1));
    return 0;
}

static int text_gc(lua_State *L)
{
    env_document_free(lua_touserdata(L, 1));
    return 0;
}

static int push_list(lua_State *L, struct vm_directory *list, const char *path)
{
    lua_Integer count = 0;
    struct qvm_error err;
    const char *name;

    lua_newtable(L);
    while ((name = vm_directory_next(list)) != NULL) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, ++count);
    }
    vm_directory_close(list);
    if (list->failure == 0)
        return 1;
    qvm_fail_errno(&err, list->failure, path);
    return push_failure(L, &err);
}

/* names(root): array of system names, unsorted. */
static int core_names(lua_State *L)
{
    const char *root = luaL_checkstring(L, 1);
    struct vm_directory *list = new_scratch(L, sizeof *list, LIST_TYPE, list_gc);
    struct qvm_error err;

    return vm_directory_open_root(list, root, &err) == 0 ? push_list(L, list, root)
                                                         : push_failure(L, &err);
}

/* entries(directory): array of the names in it besides env, unsorted. */
static int core_entries(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct vm_directory *list = new_scratch(L, sizeof *list, LIST_TYPE, list_gc);
    struct qvm_error err;

    return vm_directory_open_nodes(list, path, &err) == 0 ? push_list(L, list, path)
                                                          : push_failure(L, &err);
}

static int core_is_name(lua_State *L)
{
    size_t size;
    const char *name = luaL_checklstring(L, 1, &size);

    lua_pushboolean(L, vm_directory_is_name(name, size));
    return 1;
}

/* The argument that says how many milliseconds a server may take to answer. */
static int64_t get_deadline(lua_State *L, int index)
{
    lua_Integer wait = luaL_optinteger(L, index, ENV_WAIT_MS);

    luaL_argcheck(L, wait >= 0 && wait <= ENV_WAIT_MS, index, "out of range");
    return os_clock_ms() + wait;
}

static int push_text(lua_State *L, struct env_document *text)
{
    lua_pushlstring(L, text->bytes, text->size);
    env_document_free(text);
    return 1;
}

/* read_env(path [, milliseconds]): the document's bytes. */
static int core_read_env(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int64_t deadline = get_deadline(L, 2);
    struct env_document *text = new_scratch(L, sizeof *text, TEXT_TYPE, text_gc);
    struct qvm_error err;

    return env_document_read(path, deadline, text, &err) == 0 ? push_text(L, text)
                                                              : push_failure(L, &err);
}

/* read_file(path): a regular file's bytes. */
static int core_read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct env_document *text = new_scratch(L, sizeof *text, TEXT_TYPE, text_gc);
    struct qvm_error err;

    return env_document_read_file(path, text, &err) == 0 ? push_text(L, text)
                                                         : push_failure(L, &err);
}

/* pid(path of an env [, milliseconds]) */
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

/* request(path of an env, "status" or "dump"): true if it was sent. */
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
        {"names", core_names},         {"entries", core_entries},
        {"is_name", core_is_name},     {"read_env", core_read_env},
        {"read_file", core_read_file}, {"pid", core_pid},
        {"request", core_request},     {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
