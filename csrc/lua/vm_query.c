/* Binds host/vm_query.h. A query is a userdata that contains a pointer, NULL once it is
 * closed. */
#include "host/vm_query.h"

#include "binding.h"
#include "host/vm_server.h"
#include "util/os.h"

static const char TYPE[] = "qvm.vm_query";

static struct vm_query *check_query(lua_State *L)
{
    struct vm_query **query = luaL_checkudata(L, 1, TYPE);

    luaL_argcheck(L, *query, 1, "closed");
    return *query;
}

static int query_close(lua_State *L)
{
    struct vm_query **query = luaL_checkudata(L, 1, TYPE);

    if (*query)
        vm_query_free(*query);
    *query = NULL;
    return 0;
}

/* query:wait(time): whether it is finished; waits at most until that time of now(). */
static int query_wait(lua_State *L)
{
    struct vm_query *query = check_query(L);
    lua_Integer until = luaL_checkinteger(L, 2);

    luaL_argcheck(L, until >= 0, 2, "out of range");
    lua_pushboolean(L, vm_query_wait(query, until));
    return 1;
}

static struct vm_answer *finished_answer(lua_State *L)
{
    struct vm_query *query = check_query(L);

    luaL_argcheck(L, vm_query_wait(query, 0), 1, "not finished");
    return vm_query_answer(query);
}

/* query:pid(): the id of the process that serves the VM; nil, message, code. */
static int query_pid(lua_State *L)
{
    const struct vm_answer *answer = finished_answer(L);

    if (answer->found != 0)
        return push_failure(L, &answer->find_error);
    lua_pushinteger(L, answer->pid);
    return 1;
}

/* query:env(): the bytes of the env; nil, message, code. */
static int query_env(lua_State *L)
{
    const struct vm_answer *answer = finished_answer(L);

    if (answer->read != 0)
        return push_failure(L, &answer->read_error);
    lua_pushlstring(L, answer->document.bytes, answer->document.size);
    return 1;
}

/* query(path of an env, milliseconds): asks its server, who has that long to answer. */
static int core_query(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_Integer wait = luaL_checkinteger(L, 2);
    struct vm_query **query = lua_newuserdatauv(L, sizeof *query, 0);
    struct qvm_error err;

    luaL_argcheck(L, wait >= 0 && wait <= ENV_WAIT_MS, 2, "out of range");
    *query = NULL;
    luaL_setmetatable(L, TYPE);
    *query = vm_query_start(path, &(struct vm_question){.kind = VM_ASK_STATE},
                            os_clock_ms() + wait, &err);
    return *query ? 1 : push_failure(L, &err);
}

void add_vm_query(lua_State *L)
{
    static const luaL_Reg methods[] = {{"wait", query_wait},
                                       {"pid", query_pid},
                                       {"env", query_env},
                                       {"close", query_close},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", query_close}, {"__close", query_close}, {NULL, NULL}};

    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_query);
    lua_setfield(L, -2, "query");
}
