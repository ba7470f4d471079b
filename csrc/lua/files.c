/* Small questions about files and time that Lua's own library cannot answer. */
#include "binding.h"
#include "dump/dump.h"
#include "util/os.h"
#include "util/regular.h"
#include "util/save.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void push_identity(lua_State *L, const struct stat *status)
{
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)status->st_dev, (LUAI_UACINT)status->st_ino);
}

/* stat(path [, link]): size in bytes, an identity (a string equal only for the same file),
 * kind: "file", "directory" or "other", and when it was last changed, in seconds from 1970.
 * A symbolic link is followed, or with `link` true is "other" itself. */
static int core_stat(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct qvm_error err;
    struct stat status;

    if ((lua_toboolean(L, 2) ? lstat : stat)(path, &status) != 0) {
        qvm_fail_errno(&err, errno, path);
        return push_failure(L, &err);
    }
    lua_pushinteger(L, (lua_Integer)status.st_size);
    push_identity(L, &status);
    if (S_ISREG(status.st_mode))
        lua_pushliteral(L, "file");
    else
        lua_pushstring(L, S_ISDIR(status.st_mode) ? "directory" : "other");
    lua_pushinteger(L, (lua_Integer)status.st_mtime);
    return 4;
}

static int close_stream(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);

    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* open_file(path): a regular file for reading, as io.open has it. */
static int core_open_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    struct qvm_error err;
    uint64_t size;
    int fd;

    stream->closef = NULL; /* not open yet */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    fd = regular_open(path, &size, &err);
    if (fd < 0)
        return push_failure(L, &err);
    stream->f = fdopen(fd, "rb");
    if (!stream->f) {
        qvm_fail_errno(&err, errno, path);
        close(fd);
        return push_failure(L, &err);
    }
    stream->closef = close_stream;
    return 1;
}

/* find_data(file, offset): where the first data at or after `offset` begins, the file's
 * size if a hole is all that follows; the size; the identity, as stat has it. */
static int core_find_data(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    lua_Integer offset = luaL_checkinteger(L, 2), at = offset;
    struct qvm_error err;
    struct stat status;
    bool is_hole = false;

    luaL_argcheck(L, stream->closef, 1, "closed");
    luaL_argcheck(L, offset >= 0, 2, "negative");
    if (fstat(fileno(stream->f), &status) != 0) {
        qvm_fail_errno(&err, errno, "log");
        return push_failure(L, &err);
    }
    if (offset < status.st_size) {
        uint64_t end = os_file_extent(fileno(stream->f), (uint64_t)offset,
                                      (uint64_t)status.st_size, &is_hole);

        if (is_hole)
            at = (lua_Integer)end;
    }
    lua_pushinteger(L, at < status.st_size ? at : (lua_Integer)status.st_size);
    lua_pushinteger(L, (lua_Integer)status.st_size);
    push_identity(L, &status);
    return 3;
}

/* extent(path): bytes that a dump must have to be whole, 0 while its headers cannot be
 * read. */
static int core_extent(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct qvm_error err;
    uint64_t extent;

    if (dump_extent(path, &extent, &err) != 0)
        return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)extent);
    return 1;
}

/* save(path, bytes): true, once the file has them, whole and on the disk. */
static int core_save(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct qvm_error err;
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    if (save_file(path, bytes, size, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* make_directory(path [, private]): true; a directory that exists is busy. */
static int core_make_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct qvm_error err;

    if (mkdir(path, lua_toboolean(L, 2) ? 0700 : 0777) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (errno == EEXIST)
        qvm_fail(&err, QVM_BUSY, "%s: exists already", path);
    else
        qvm_fail_errno(&err, errno, path);
    return push_failure(L, &err);
}

/* make_private(path): true, once the file is there; a new one is this user's alone. */
static int core_make_private(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int descriptor =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
    struct qvm_error err;

    if (descriptor < 0) {
        qvm_fail_errno(&err, errno, path);
        return push_failure(L, &err);
    }
    close(descriptor);
    lua_pushboolean(L, 1);
    return 1;
}

/* host_name(): of this host; empty where it has none. */
static int core_host_name(lua_State *L)
{
    char name[256] = "";

    gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    return 1;
}

/* now(): milliseconds of a clock that only goes forward. */
static int core_now(lua_State *L)
{
    lua_pushinteger(L, os_clock_ms());
    return 1;
}

/* sleep(milliseconds): may return early. */
static int core_sleep(lua_State *L)
{
    lua_Integer milliseconds = luaL_checkinteger(L, 1);

    luaL_argcheck(L, milliseconds >= 0, 1, "negative");
    os_sleep(milliseconds);
    return 0;
}

void add_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"stat", core_stat},
        {"open_file", core_open_file},
        {"find_data", core_find_data},
        {"extent", core_extent},
        {"save", core_save},
        {"make_directory", core_make_directory},
        {"make_private", core_make_private},
        {"host_name", core_host_name},
        {"now", core_now},
        {"sleep", core_sleep},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
