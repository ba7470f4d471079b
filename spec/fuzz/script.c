/* Targets for parsers in Lua: spec/fuzz/lua/SCRIPT.lua returns a function that takes
 * an input. A line hook counts pairs of consecutive lines, and libFuzzer uses these
 * counters as coverage. An error that the function raises, or an endless loop, is a
 * crash. */
#include "fuzz.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS = 1 << 15, STEP = 10000, STEPS_MAX = 2000, MEMORY_MAX = 64 << 20 };
enum { FILES_MAX = 64, LINES_MAX = 1024, RUNS_TO_COLLECT = 256 };

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

int luaopen_qvm_core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static lua_State *state;
static unsigned steps, before;
static size_t memory;

/* The library's files by the address of their names, which Lua interns, and which of
 * their lines were run. */
static struct script {
    const char *source;
    bool ours;
    bool lines[LINES_MAX];
} files[FILES_MAX];

static unsigned file_of(const char *source)
{
    unsigned i = 0;

    while (i + 1 < FILES_MAX && files[i].source && files[i].source != source)
        i++;
    if (!files[i].source) {
        files[i].source = source;
        files[i].ours = strncmp(source, "@lua/qvm/", 9) == 0;
    }
    return i;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    unsigned file, here;

    if (ar->event == LUA_HOOKCOUNT) {
        MUST(++steps < STEPS_MAX); /* or it takes too long for such a small input */
        return;
    }
    lua_getinfo(L, "S", ar);
    file = file_of(ar->source);
    if (!files[file].ours)
        return;
    files[file].lines[ar->currentline % LINES_MAX] = true;
    here = file * 7919u + (unsigned)ar->currentline * 31u;
    counters[(here ^ before) % COUNTERS]++;
    before = here >> 1;
}

static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
    void *new;

    (void)context;
    if (size == 0) {
        memory -= old ? old_size : 0;
        free(old);
        return NULL;
    }
    /* After a failure, Lua collects its garbage and tries again; if that fails too, it
     * raises an error. */
    if (size > (old ? old_size : 0) && memory + size > MEMORY_MAX)
        return NULL;
    new = realloc(old, size);
    if (new)
        memory += size - (old ? old_size : 0);
    return new;
}

/* The module fuzz. file(number, bytes): the path of a file with them. */
static int make_file(lua_State *L)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);

    lua_pushstring(L, fuzz_file((unsigned)luaL_checkinteger(L, 1) % FUZZ_FILES, bytes, n));
    return 1;
}

static int open_module(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, make_file);
    lua_setfield(L, -2, "file");
    return 1;
}

static int with_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void must_run(int status)
{
    if (status == LUA_OK)
        return;
    fprintf(stderr, "raised: %s\n", lua_tostring(state, -1));
    abort();
}

/* For the coverage report: file:line of each. */
static void write_lines(void)
{
    const char *path = getenv("QVM_FUZZ_LINES");
    FILE *out = path ? fopen(path, "w") : NULL;

    for (unsigned i = 0; out && i < FILES_MAX; i++)
        for (int line = 0; line < LINES_MAX; line++)
            if (files[i].lines[line])
                fprintf(out, "%s:%d\n", files[i].source + 1, line);
    if (out)
        fclose(out);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    state = lua_newstate(allocate, NULL);
    MUST(state != NULL);
    luaL_openlibs(state);
    luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(state, luaopen_qvm_core);
    lua_setfield(state, -2, "qvm.core");
    lua_pushcfunction(state, open_module);
    lua_setfield(state, -2, "fuzz");
    must_run(luaL_dostring(state, "package.path = 'lua/?.lua;lua/?/init.lua;spec/?.lua;"
                                  "spec/fuzz/?.lua'"));
    lua_settop(state, 0);
    lua_pushcfunction(state, with_traceback);
    lua_sethook(state, hook, LUA_MASKLINE | LUA_MASKCOUNT, STEP);
    must_run(luaL_dofile(state, "spec/fuzz/lua/" SCRIPT ".lua"));
    MUST(lua_gettop(state) == 2 && lua_isfunction(state, 2));
    atexit(write_lines);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;

    steps = before = 0;
    lua_pushvalue(state, 2);
    lua_pushlstring(state, (const char *)data, size);
    must_run(lua_pcall(state, 1, 0, 1));
    if (++runs % RUNS_TO_COLLECT == 0)
        lua_gc(state, LUA_GCCOLLECT);
    return 0;
}
