/* Files, and small questions about them and about time that Lua's own library cannot
 * answer. */
#include "binding.h"
#include "dump/dump.h"
#include "util/file_io.h"
#include "util/new_directory.h"
#include "util/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

int check_file(lua_State *L, int index)
{
    luaL_Stream *stream = luaL_checkudata(L, index, LUA_FILEHANDLE);

    luaL_argcheck(L, stream->closef, index, "closed file");
    return fileno(stream->f);
}

/* stat(path), stat(file, name): size in bytes, an identity (a string equal only for the
 * same file), kind: "file", "directory" or "other", and when it was last changed, in
 * seconds from 1970. */
static int core_stat(lua_State *L)
{
    bool is_path = lua_type(L, 1) == LUA_TSTRING;
    int fd = is_path ? -1 : check_file(L, 1);
    const char *path = is_path ? lua_tostring(L, 1) : luaL_optstring(L, 2, "file");
    struct qvm_error err;
    struct stat status;

    if ((is_path ? stat(path, &status) : fstat(fd, &status)) != 0) {
        qvm_fail_errno(&err, errno, path);
        return push_failure(L, &err);
    }
    lua_pushinteger(L, (lua_Integer)status.st_size);
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)status.st_dev, (LUAI_UACINT)status.st_ino);
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

/* open_file(path [, checked]): a regular file for reading, as io.open has it; see
 * regular_open_checked. */
static int core_open_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    struct qvm_error err;
    uint64_t size;
    int fd;

    stream->closef = NULL; /* not open yet */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    fd = (lua_toboolean(L, 2) ? regular_open_checked : regular_open)(path, &size, &err);
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

/* find_data(file, offset): where the first data at or after `offset` begins; the file's end
 * if a hole is all that follows, or `offset` is not before it. */
static int core_find_data(lua_State *L)
{
    int fd = check_file(L, 1);
    lua_Integer offset = luaL_checkinteger(L, 2), size;
    struct qvm_error err;
    struct stat status;
    bool is_hole = false;
    uint64_t end;

    luaL_argcheck(L, offset >= 0, 2, "negative");
    if (fstat(fd, &status) != 0) {
        qvm_fail_errno(&err, errno, "file");
        return push_failure(L, &err);
    }
    size = (lua_Integer)status.st_size;
    if (offset < size) {
        end = os_file_extent(fd, (uint64_t)offset, (uint64_t)size, &is_hole);
        lua_pushinteger(L, is_hole ? (lua_Integer)end : offset);
    } else {
        lua_pushinteger(L, size);
    }
    return 1;
}

/* extent(file, path): bytes that a dump must have to be whole, 0 while its headers cannot
 * be read. */
static int core_extent(lua_State *L)
{
    int fd = check_file(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct qvm_error err;
    uint64_t extent;

    if (dump_whole_size(fd, path, &extent, &err) != 0)
        return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)extent);
    return 1;
}

/* save(path, bytes [, private]): true, once the file has them, whole and on the disk. See
 * save_file. */
static int core_save(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct save_paths followed;
    struct qvm_error err;
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    if (save_file(path, bytes, size, lua_toboolean(L, 3), &followed, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static const char DIRECTORY[] = "qvm.new_directory";

static struct new_directory *check_directory(lua_State *L)
{
    struct new_directory *made = luaL_checkudata(L, 1, DIRECTORY);

    luaL_argcheck(L, made->path, 1, "closed");
    return made;
}

static int directory_close(lua_State *L)
{
    new_directory_close(luaL_checkudata(L, 1, DIRECTORY), false);
    return 0;
}

/* directory:keep(): ends it, and leaves it and its files. */
static int directory_keep(lua_State *L)
{
    new_directory_close(check_directory(L), true);
    return 0;
}

/* directory:write(name, bytes): true. */
static int directory_write(lua_State *L)
{
    struct new_directory *made = check_directory(L);
    const char *name = luaL_checkstring(L, 2);
    struct qvm_error err;
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);

    if (new_directory_write(made, name, bytes, size, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* new_directory(path): a directory for this user alone that is removed with its files when
 * it is closed or collected, unless it is kept. */
static int core_new_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct new_directory *made = lua_newuserdatauv(L, sizeof *made, 0);
    struct qvm_error err;

    made->path = NULL;
    luaL_setmetatable(L, DIRECTORY);
    return new_directory_open(made, path, &err) == 0 ? 1 : push_failure(L, &err);
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

/* current_directory(): its absolute path. */
static int core_current_directory(lua_State *L)
{
    char path[PATH_MAX];
    struct qvm_error err;

    if (!getcwd(path, sizeof path)) {
        qvm_fail_errno(&err, errno, "the current directory");
        return push_failure(L, &err);
    }
    lua_pushstring(L, path);
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
        {"current_directory", core_current_directory},
        {"new_directory", core_new_directory},
        {"host_name", core_host_name},
        {"now", core_now},
        {"sleep", core_sleep},
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
