/* Binds host/vm_directory.h and, through vm_query.h, env_document.h, vm_server.h and
 * vm_thread.h: discovery, the env document and requests, all as functions of paths. What
 * the core allocates is in a scratch userdata (new_scratch), whose collection frees it if
 * Lua raises an error midway. */
#include "binding.h"
#include "host/env_document.h"
#include "host/vm_directory.h"
#include "host/vm_query.h"
#include "host/vm_server.h"
#include "util/os.h"

static const char DIRECTORY[] = "qvm.vm_directory", DOCUMENT[] = "qvm.env_document",
                  QUERY[] = "qvm.vm_scratch_query";

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

/* Questions to servers ----------------------------------------------------------------
 * A function asks, pushes what was answered, and frees the query. The collector does so
 * only if Lua raises an error midway: a query that it frees later might be one of another
 * process, if the program has called fork(), and has no thread there. */

static void free_query(struct vm_query **query)
{
    if (*query)
        vm_query_free(*query);
    *query = NULL;
}

static int query_gc(lua_State *L)
{
    free_query(lua_touserdata(L, 1));
    return 0;
}

/* Asks the server of the env at argument 1, and waits for the answer. The result is a
 * scratch userdata on the stack, which contains NULL, with err filled, if there is no
 * memory. */
static struct vm_query **ask(lua_State *L, const struct vm_question *question,
                             lua_Integer milliseconds, struct qvm_error *err)
{
    const char *path = luaL_checkstring(L, 1);
    struct vm_query **query = new_scratch(L, sizeof *query, QUERY, query_gc);
    int64_t deadline = os_clock_ms() + milliseconds;

    *query = vm_query_start(path, question, deadline, err);
    if (*query)
        vm_query_wait(*query, deadline + VM_QUERY_GRACE_MS);
    return query;
}

/* NULL with err filled: there is none. */
static const struct vm_answer *answer_of(lua_State *L, struct vm_query *query,
                                         struct qvm_error *err)
{
    if (!query)
        return NULL;
    if (vm_query_wait(query, 0))
        return vm_query_answer(query);
    vm_server_fail_timeout(lua_tostring(L, 1), err);
    return NULL;
}

/* Asks, and returns what `push` returns for the answer. */
static int answered(lua_State *L, const struct vm_question *question,
                    lua_Integer milliseconds,
                    int push(lua_State *L, const struct vm_answer *answer))
{
    struct qvm_error err;
    struct vm_query **query = ask(L, question, milliseconds, &err);
    const struct vm_answer *answer = answer_of(L, *query, &err);
    int count = answer ? push(L, answer) : push_failure(L, &err);

    free_query(query);
    return count;
}

/* How long a server may take to answer, from an argument in milliseconds. */
static lua_Integer get_milliseconds(lua_State *L, int index)
{
    lua_Integer wait = luaL_optinteger(L, index, ENV_WAIT_MS);

    luaL_argcheck(L, wait >= 0 && wait <= ENV_WAIT_MS, index, "out of range");
    return wait;
}

static int push_env(lua_State *L, const struct vm_answer *answer)
{
    if (answer->read != 0)
        return push_failure(L, &answer->read_error);
    lua_pushlstring(L, answer->document.bytes, answer->document.size);
    return 1;
}

/* read_env(path [, milliseconds [, piece]]): the document's bytes; `piece`: how many one
 * read asks for at most. */
static int core_read_env(lua_State *L)
{
    lua_Integer piece = luaL_optinteger(L, 3, 0);
    struct vm_question question = {.kind = VM_ASK_ENV, .piece = (size_t)piece};

    luaL_argcheck(L, piece >= 0, 3, "negative");
    return answered(L, &question, get_milliseconds(L, 2), push_env);
}

/* read_file(path): the bytes of a regular file. */
static int core_read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct env_document *document = new_scratch(L, sizeof *document, DOCUMENT, document_gc);
    struct qvm_error err;

    if (env_document_read_file(path, document, &err) != 0)
        return push_failure(L, &err);
    lua_pushlstring(L, document->bytes, document->size);
    env_document_free(document);
    return 1;
}

static int push_pid(lua_State *L, const struct vm_answer *answer)
{
    if (answer->found != 0)
        return push_failure(L, &answer->find_error);
    lua_pushinteger(L, answer->pid);
    return 1;
}

/* pid(path of an env [, milliseconds]): the id of the process that serves it. */
static int core_pid(lua_State *L)
{
    static const struct vm_question question = {.kind = VM_ASK_SERVER};

    return answered(L, &question, get_milliseconds(L, 2), push_pid);
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

static int push_thread(lua_State *L, const struct vm_answer *answer)
{
    const struct vm_thread *thread = &answer->thread;

    if (answer->found != 0)
        return push_failure(L, &answer->find_error);
    lua_createtable(L, 0, 4);
    set_integer(L, "cpu_time", (int64_t)thread->cpu_time);
    set_integer(L, "priority", thread->priority);
    set_text(L, "state", thread->state);
    if (*thread->name)
        set_text(L, "name", thread->name);
    return 1;
}

/* thread(path of an env, tid): a table about that thread of the process that serves it. */
static int core_thread(lua_State *L)
{
    struct vm_question question = {.kind = VM_ASK_THREAD, .tid = luaL_checkinteger(L, 2)};

    return answered(L, &question, ENV_WAIT_MS, push_thread);
}

/* request(path of an env, "status" or "dump"): true and the id of the process, when the
 * signal was sent. A server can still hold its client then, in close(). */
static int core_request(lua_State *L)
{
    static const char *const names[] = {"status", "dump", NULL};
    static const enum vm_request requests[] = {VM_REQUEST_STATUS, VM_REQUEST_DUMP};
    struct vm_question question = {
        .kind = VM_ASK_REQUEST, .request = requests[luaL_checkoption(L, 2, NULL, names)]};
    struct qvm_error err;
    struct vm_query **query = ask(L, &question, ENV_WAIT_MS, &err);
    pid_t pid = *query ? vm_query_give_up_request(*query) : 0;
    const struct vm_answer *answer = pid != 0 ? NULL : answer_of(L, *query, &err);

    if (pid == 0)
        push_failure(L, answer ? &answer->find_error : &err);
    else {
        lua_pushboolean(L, 1);
        lua_pushinteger(L, pid);
    }
    free_query(query);
    return pid != 0 ? 2 : 3;
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
