/* host SCRIPT [ARGUMENT...]: runs a Lua script in a state whose allocations can be made
 * to fail. The module `faults` controls the plan (fault_injection.h): the script calls a
 * function under a plan, then checks its results, the blocks still allocated and the
 * calls made. */
#include "fault_injection.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALL_SECONDS = 20 }; /* a call that takes longer counts as hung */

struct plan plan;

bool plan_takes(const char *what)
{
    long number;

    if (!plan.what || strcmp(plan.what, what) != 0)
        return false;
    number = ++plan.count;
    if (plan.at == 0 || number < plan.at || (number > plan.at && !plan.all))
        return false;
    plan.hit = true;
    return true;
}

/* run(f, what, at, all, number): calls f under a plan. Returns whether a call failed, the
 * number of calls, and pcall's results. `number` is an errno, "short" or "slow". */
static int faults_run(lua_State *L)
{
    static const char *const names[] = {"short", "slow", NULL};
    const char *what = luaL_checkstring(L, 2);
    int status;

    plan.at = (long)luaL_checkinteger(L, 3);
    plan.all = lua_toboolean(L, 4);
    if (lua_type(L, 5) == LUA_TSTRING)
        plan.number = SHORT - luaL_checkoption(L, 5, NULL, names);
    else
        plan.number = (int)luaL_optinteger(L, 5, 0);
    plan.count = 0;
    plan.hit = false;
    system_reset();
    lua_settop(L, 5);
    luaL_checkstack(L, 100, NULL);
    lua_pushvalue(L, 1);
    alarm(CALL_SECONDS);
    plan.what = what;
    status = lua_pcall(L, 0, LUA_MULTRET, 0);
    plan.what = NULL;
    lua_pushboolean(L, plan.hit);
    lua_pushinteger(L, plan.count);
    lua_pushboolean(L, status == LUA_OK);
    lua_rotate(L, 6, 3);
    return lua_gettop(L) - 5;
}

/* Calls a copy of the function on top of the stack under the plan. Pushes onto `results`
 * whether it succeeded, and its result as text. */
static void call_into(lua_State *L, lua_State *results, const char *what)
{
    int status;

    lua_pushvalue(L, -1);
    plan.what = what;
    status = lua_pcall(L, 0, 1, 0);
    plan.what = NULL;
    lua_pushboolean(results, status == LUA_OK);
    lua_pushstring(results, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 2);
}

/* fresh(chunk, what, at, all): runs a chunk in a new state. The chunk returns a function,
 * which is called twice, the first time under a plan. Returns whether a call failed; for
 * each of the two calls, whether it succeeded and its result; and the number of blocks
 * left allocated. */
static int faults_fresh(lua_State *results)
{
    const char *chunk = luaL_checkstring(results, 1);
    const char *what = luaL_checkstring(results, 2);
    long before = faults_live();
    lua_State *L = lua_newstate(faults_lua, NULL);

    if (!L)
        return luaL_error(results, "no state");
    luaL_openlibs(L);
    if (luaL_dostring(L, chunk) != LUA_OK)
        return luaL_error(results, "%s", lua_tostring(L, -1));
    plan.at = (long)luaL_checkinteger(results, 3);
    plan.all = lua_toboolean(results, 4);
    plan.number = 0;
    plan.count = 0;
    plan.hit = false;
    alarm(CALL_SECONDS);
    lua_settop(results, 0);
    lua_pushnil(results);
    call_into(L, results, what);
    lua_pushboolean(results, plan.hit);
    lua_replace(results, 1);
    call_into(L, results, NULL);
    lua_close(L);
    lua_pushinteger(results, faults_live() - before);
    return lua_gettop(results);
}

/* calls(): the number of calls of each function under the last plan, by name. */
static int faults_calls(lua_State *L)
{
    const char *name;
    long count;

    lua_newtable(L);
    for (unsigned i = 0; (name = system_name(i, &count)) != NULL; i++) {
        lua_pushinteger(L, count);
        lua_setfield(L, -2, name);
    }
    return 1;
}

static int faults_blocks(lua_State *L)
{
    lua_pushinteger(L, faults_live());
    return 1;
}

static int report_pipe = -1; /* in a child: receives its report */

/* say(text): in a child, appends to its report. */
static int faults_say(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);

    while (size > 0) {
        ssize_t done = write(report_pipe, text, size);

        if (done < 0)
            return luaL_error(L, "say: %s", strerror(errno));
        text += done;
        size -= (size_t)done;
    }
    return 0;
}

/* start(f): runs f in a forked child. Returns its process ID and the descriptor to read
 * its report from. */
static int faults_start(lua_State *L)
{
    int ends[2];
    pid_t child;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (pipe(ends) != 0)
        return luaL_error(L, "pipe: %s", strerror(errno));
    fflush(NULL); /* or the child writes it again */
    child = fork();
    if (child < 0)
        return luaL_error(L, "fork: %s", strerror(errno));
    if (child > 0) {
        close(ends[1]);
        lua_pushinteger(L, child);
        lua_pushinteger(L, ends[0]);
        return 2;
    }
    close(ends[0]);
    report_pipe = ends[1];
    lua_settop(L, 1);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        faults_say(L);
    exit(0);
}

/* finish(pid, fd): returns the report of a child, and the signal that ended it, if any. */
static int faults_finish(lua_State *L)
{
    pid_t child = (pid_t)luaL_checkinteger(L, 1);
    int fd = (int)luaL_checkinteger(L, 2), status = 0;
    luaL_Buffer text;
    ssize_t got;

    luaL_buffinit(L, &text);
    do {
        got = read(fd, luaL_prepbuffer(&text), LUAL_BUFFERSIZE);
        if (got > 0)
            luaL_addsize(&text, (size_t)got);
    } while (got > 0 || (got < 0 && errno == EINTR));
    close(fd);
    luaL_pushresult(&text);
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status))
        return 1;
    lua_pushinteger(L, WTERMSIG(status));
    return 2;
}

static int open_faults(lua_State *L)
{
    static const luaL_Reg functions[] = {{"run", faults_run},       {"calls", faults_calls},
                                         {"blocks", faults_blocks}, {"fresh", faults_fresh},
                                         {"start", faults_start},   {"say", faults_say},
                                         {"finish", faults_finish}, {NULL, NULL}};
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"EINTR", EINTR},   {"EIO", EIO},       {"ENOSPC", ENOSPC},
                  {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM},
                  {"EAGAIN", EAGAIN}, {"EACCES", EACCES}, {NULL, 0}};

    luaL_newlib(L, functions);
    for (unsigned i = 0; errors[i].name; i++) {
        lua_pushinteger(L, errors[i].number);
        lua_setfield(L, -2, errors[i].name);
    }
    return 1;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int main(int argc, char **argv)
{
    lua_State *L = lua_newstate(faults_lua, NULL);
    int status;

    if (!L || argc < 2)
        return 2;
    luaL_openlibs(L);
    luaL_requiref(L, "faults", open_faults, 0);
    lua_settop(L, 0);
    lua_pushcfunction(L, traceback);
    status = luaL_loadfile(L, argv[1]);
    for (int i = 2; status == LUA_OK && i < argc; i++)
        lua_pushstring(L, argv[i]);
    if (status == LUA_OK)
        status = lua_pcall(L, argc - 2, 0, 1);
    if (status != LUA_OK)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    return status == LUA_OK ? 0 : 1;
}
