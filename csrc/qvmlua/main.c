/* qvmlua: Lua 5.4, lua-cjson, argparse and qvm in one executable, for machines without Lua.
 *
 * Everything that the executable contains is in package.preload, which `require` asks
 * first: the C modules as functions, each Lua file as a closure that compiles it. So no
 * file replaces a part of the library. The command line is handled in Lua (main.lua); this
 * file provides what Lua cannot do: Ctrl-C, the versions, and who may write to a directory.
 */
#include "sources.h"

#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

int luaopen_cjson(lua_State *L);
int luaopen_cjson_safe(lua_State *L);
int luaopen_qvm_core(lua_State *L);

/* Ctrl-C ----------------------------------------------------------------------------------
 */

static lua_State *interruptible; /* for the signal handler */

static void raise_interrupt(lua_State *L, lua_Debug *where)
{
    (void)where;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

/* As in `lua`: the error is raised at the next instruction. A second Ctrl-C has its default
 * action. */
static void on_interrupt(int number)
{
    signal(number, SIG_DFL);
    lua_sethook(interruptible, raise_interrupt,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* SA_RESTART is not set, so that Ctrl-C ends a read. */
static void catch_interrupts(lua_State *L)
{
    struct sigaction action;

    interruptible = L;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* What the executable contains ------------------------------------------------------------
 */

#define GZIP_WINDOW (16 + MAX_WBITS) /* for inflateInit2(): a gzip file, any window */

/* Unpacks a Lua file to `text`, which has room for source->size bytes. */
static bool unpack(const struct source *source, unsigned char *text)
{
    z_stream stream;
    int status;

    memset(&stream, 0, sizeof stream);
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return false;
    stream.next_in = (z_const Bytef *)source->packed;
    stream.avail_in = (uInt)source->packed_size;
    stream.next_out = text;
    stream.avail_out = (uInt)source->size;
    status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return status == Z_STREAM_END && stream.avail_out == 0;
}

/* Compiles and runs a Lua file. The source is upvalue 1; the arguments are those that
 * `require` passes on. */
static int load_source(lua_State *L)
{
    const struct source *source = lua_touserdata(L, lua_upvalueindex(1));
    unsigned char *text = lua_newuserdatauv(L, source->size + 1, 0);

    if (!unpack(source, text))
        return luaL_error(L, "cannot unpack %s", source->module);
    if (luaL_loadbufferx(L, (const char *)text, source->size, source->chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_insert(L, 1); /* below the arguments */
    lua_pop(L, 1);    /* the text */
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static void preload(lua_State *L)
{
    static const luaL_Reg modules[] = {
        {"cjson", luaopen_cjson},
        {"cjson.safe", luaopen_cjson_safe},
        {"qvm.core", luaopen_qvm_core},
        {NULL, NULL},
    };

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    for (const struct source *source = sources; source->module; source++) {
        lua_pushlightuserdata(L, (void *)source);
        lua_pushcclosure(L, load_source, 1);
        lua_setfield(L, -2, source->module);
    }
    lua_pop(L, 1);
}

/* For main.lua ----------------------------------------------------------------------------
 */

/* is_safe(directory): whether only root and this user can change it. */
static int is_safe(lua_State *L)
{
    struct stat found;

    lua_pushboolean(L, stat(luaL_checkstring(L, 1), &found) == 0 &&
                           S_ISDIR(found.st_mode) &&
                           (found.st_uid == 0 || found.st_uid == geteuid()) &&
                           (found.st_mode & (S_IWGRP | S_IWOTH)) == 0);
    return 1;
}

/* Pushes the words of the command line as a table, the executable's name at 0. */
static void push_words(lua_State *L, int count, char **words)
{
    lua_createtable(L, count, 1);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, words[i]);
        lua_rawseti(L, -2, i);
    }
}

/* Arguments: argc, argv. Returns the exit status. Lua's own search paths come without those
 * of the environment, which main.lua adds. */
static int run(lua_State *L)
{
    int count = (int)lua_tointeger(L, 1);
    char **words = lua_touserdata(L, 2);

    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    luaL_openlibs(L);
    preload(L);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as `lua` does */
    catch_interrupts(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "qvmlua.main");
    lua_call(L, 1, 1);
    push_words(L, count, words);
    lua_newtable(L);
    lua_pushliteral(L, LUA_RELEASE);
    lua_setfield(L, -2, "lua");
    lua_pushstring(L, zlibVersion());
    lua_setfield(L, -2, "zlib");
    lua_pushcfunction(L, is_safe);
    lua_setfield(L, -2, "is_safe");
    lua_call(L, 2, 1);
    return 1;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int status = EXIT_FAILURE;

    if (!L) {
        fputs("qvmlua: not enough memory\n", stderr);
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
        status = (int)lua_tointeger(L, -1);
    } else {
        const char *message = lua_tostring(L, -1);

        fprintf(stderr, "qvmlua: %s\n", message ? message : "an error without a message");
    }
    lua_close(L);
    return status;
}
