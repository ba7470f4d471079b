/* Binds util/new_directory.h and the directories of util/disk.h, and adds mkdir() and
 * getcwd(). */
#include "binding.h"
#include "util/disk.h"
#include "util/new_directory.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const char DIRECTORY[] = "qvm.new_directory";

static struct new_directory *check_directory(lua_State *L)
{
    struct new_directory *directory = luaL_checkudata(L, 1, DIRECTORY);

    luaL_argcheck(L, directory->path, 1, "closed");
    return directory;
}

static int directory_close(lua_State *L)
{
    new_directory_close(luaL_checkudata(L, 1, DIRECTORY), false);
    return 0;
}

/* directory:keep(): closes it and leaves it and its files in place. */
static int directory_keep(lua_State *L)
{
    new_directory_close(check_directory(L), true);
    return 0;
}

/* directory:write(name, bytes): true, when the file is on the disk. */
static int directory_write(lua_State *L)
{
    struct new_directory *directory = check_directory(L);
    const char *name = luaL_checkstring(L, 2);
    struct qvm_error err;
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    if (new_directory_write(directory, name, bytes, size, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* new_directory(path): a directory for this user alone. Closing or collecting it removes it
 * with its files, unless it was kept. */
static int core_new_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct new_directory *directory = lua_newuserdatauv(L, sizeof *directory, 0);
    struct qvm_error err;

    directory->path = NULL; /* marks it as closed while opening may fail */
    luaL_setmetatable(L, DIRECTORY);
    return new_directory_open(directory, path, &err) == 0 ? 1 : push_failure(L, &err);
}

/* make_directory(path [, private]): true; "busy" if the name is taken. */
static int core_make_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    if (mkdir(path, lua_toboolean(L, 2) ? 0700 : 0777) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return errno == EEXIST ? push_exists(L, path) : push_errno(L, path);
}

static int push_result(lua_State *L, int result, const struct qvm_error *err)
{
    if (result != 0)
        return push_failure(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

/* remove_directory(path [, first]): true; removes it with its files, the one called `first`
 * before all others. */
static int core_remove_directory(lua_State *L)
{
    struct qvm_error err;

    return push_result(
        L, remove_directory(luaL_checkstring(L, 1), luaL_optstring(L, 2, NULL), &err),
        &err);
}

/* check_safe_directory(path): true if only root and this user can change what is in it. */
static int core_check_safe_directory(lua_State *L)
{
    struct qvm_error err;

    return push_result(L, check_safe_directory(luaL_checkstring(L, 1), &err), &err);
}

/* current_directory(): its absolute path. */
static int core_current_directory(lua_State *L)
{
    char path[PATH_MAX];

    if (!getcwd(path, sizeof path))
        return push_errno(L, "the current directory");
    lua_pushstring(L, path);
    return 1;
}

void add_directories(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"make_directory", core_make_directory},
        {"remove_directory", core_remove_directory},
        {"check_safe_directory", core_check_safe_directory},
        {"current_directory", core_current_directory},
        {"new_directory", core_new_directory},
        {NULL, NULL},
    };

    static const luaL_Reg methods[] = {
        {"write", directory_write}, {"keep", directory_keep}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", directory_close}, {"__close", directory_close}, {NULL, NULL}};

    luaL_newmetatable(L, DIRECTORY);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
