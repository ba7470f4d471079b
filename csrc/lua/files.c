/* Binds util/file_io.h, util/compress.h, util/disk.h and util/os.h, and adds what Lua's own
 * library lacks: the status of a file, the host's name, a clock.
 *
 * Open files are those of Lua's io library: open_file() fills the same userdata, so the io
 * methods work on it, and check_file() takes either. */
#include "binding.h"
#include "dump/dump.h"
#include "util/compress.h"
#include "util/disk.h"
#include "util/file_io.h"
#include "util/os.h"
#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int check_file(lua_State *L, int index)
{
    luaL_Stream *stream = luaL_checkudata(L, index, LUA_FILEHANDLE);

    luaL_argcheck(L, stream->closef, index, "closed file");
    return fileno(stream->f);
}

int push_errno(lua_State *L, const char *subject)
{
    struct qvm_error err;

    qvm_fail_errno(&err, errno, subject);
    return push_failure(L, &err);
}

int push_exists(lua_State *L, const char *path)
{
    struct qvm_error err;

    qvm_fail(&err, QVM_BUSY, "%s: exists already", path);
    return push_failure(L, &err);
}

static int push_status(lua_State *L, const struct stat *status)
{
    lua_pushinteger(L, (lua_Integer)status->st_size);
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)status->st_dev, (LUAI_UACINT)status->st_ino);
    if (S_ISREG(status->st_mode))
        lua_pushliteral(L, "file");
    else
        lua_pushstring(L, S_ISDIR(status->st_mode) ? "directory" : "other");
    lua_pushinteger(L, (lua_Integer)status->st_mtime);
    return 4;
}

/* stat(path), stat(file, name): the size in bytes; an identity, a string that is equal only
 * for the same file; the kind, "file", "directory" or "other"; the time of the last change
 * in seconds since 1970. */
static int core_stat(lua_State *L)
{
    bool is_path = lua_type(L, 1) == LUA_TSTRING;
    int fd = is_path ? -1 : check_file(L, 1);
    const char *path = is_path ? lua_tostring(L, 1) : luaL_optstring(L, 2, "file");
    struct stat status;

    if ((is_path ? stat(path, &status) : fstat(fd, &status)) != 0)
        return push_errno(L, path);
    return push_status(L, &status);
}

/* lstat(path): the same of a symbolic link itself, whose kind is "other". */
static int core_lstat(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat status;

    return lstat(path, &status) == 0 ? push_status(L, &status) : push_errno(L, path);
}

static int close_stream(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);

    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* Pushes a file of the io library. It counts as closed while opening it may fail. */
static luaL_Stream *new_stream(lua_State *L)
{
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);

    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
    return stream;
}

/* Returns the file on top of the stack, for a descriptor, as the results of a function. */
static int return_stream(lua_State *L, luaL_Stream *stream, int fd, const char *mode,
                         const char *path)
{
    stream->f = fdopen(fd, mode);
    if (!stream->f) {
        os_close(fd);
        return push_errno(L, path);
    }
    stream->closef = close_stream;
    return 1;
}

/* open_file(path [, checked]): a file of the io library, open for reading. It must be a
 * regular file; `checked` selects regular_open_checked(). */
static int core_open_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    bool checked = lua_toboolean(L, 2);
    luaL_Stream *stream = new_stream(L); /* may be at index 2 */
    struct qvm_error err;
    uint64_t size;
    int fd = (checked ? regular_open_checked : regular_open)(path, &size, &err);

    return fd < 0 ? push_failure(L, &err) : return_stream(L, stream, fd, "rb", path);
}

/* create_file(path): a new file of the io library, open for writing, for this user alone;
 * "busy" if the name is taken, even by a symbolic link. */
static int core_create_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_Stream *stream = new_stream(L);
    int fd = retry_create(AT_FDCWD, path, 0600);

    if (fd >= 0)
        return return_stream(L, stream, fd, "wb", path);
    return errno == EEXIST ? push_exists(L, path) : push_errno(L, path);
}

int push_duplicate(lua_State *L, int fd, const char *path)
{
    luaL_Stream *stream = new_stream(L);
    int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (duplicate < 0 || lseek(duplicate, 0, SEEK_SET) != 0) {
        if (duplicate >= 0)
            os_close(duplicate);
        return push_errno(L, path);
    }
    return return_stream(L, stream, duplicate, "rb", path);
}

/* compress_file(file, path, to): true; see compress_file(). */
static int core_compress_file(lua_State *L)
{
    int fd = check_file(L, 1);
    struct qvm_error err;

    if (compress_file(fd, luaL_checkstring(L, 2), luaL_checkstring(L, 3), &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* find_data(file, offset): the offset of the first data at or after `offset`; the file's
 * size if only a hole follows, or if `offset` is not below the size. */
static int core_find_data(lua_State *L)
{
    int fd = check_file(L, 1);
    lua_Integer offset = luaL_checkinteger(L, 2), size;
    struct stat status;
    bool is_hole = false;
    uint64_t end;

    luaL_argcheck(L, offset >= 0, 2, "negative");
    if (fstat(fd, &status) != 0)
        return push_errno(L, "file");
    size = (lua_Integer)status.st_size;
    if (offset < size) {
        end = os_file_extent(fd, (uint64_t)offset, (uint64_t)size, &is_hole);
        lua_pushinteger(L, is_hole ? (lua_Integer)end : offset);
    } else {
        lua_pushinteger(L, size);
    }
    return 1;
}

/* whole_size(file, path): the size in bytes that a dump has when it is complete; 0 while
 * its headers cannot be read. */
static int core_whole_size(lua_State *L)
{
    int fd = check_file(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct qvm_error err;
    uint64_t size;

    if (dump_whole_size(fd, path, &size, &err) != 0)
        return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

/* save(path, bytes [, private]): true, when the file is on the disk; see save_file(). */
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

/* free_space(path): bytes that are free on its file system. */
static int core_free_space(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct qvm_error err;
    uint64_t bytes;

    if (disk_free(path, &bytes, &err) != 0)
        return push_failure(L, &err);
    lua_pushinteger(L, (lua_Integer)bytes);
    return 1;
}

/* remove_file(path, file): true; removes the name if it still refers to this open file. */
static int core_remove_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int fd = check_file(L, 2);
    struct qvm_error err;

    if (remove_open_file(path, fd, &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* Opens a regular file for appending, creates it if there is none, and makes it this user's
 * alone. A symbolic link is not followed. Returns 0 or -1. */
static int make_private(const char *path, struct qvm_error *err)
{
    int flags =
        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
    struct stat status;
    int fd, failed;

    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a regular file", path);
    fd = open(path, flags, 0600);
    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    failed =
        fstat(fd, &status) != 0 || ((status.st_mode & 077) != 0 && fchmod(fd, 0600) != 0);
    if (failed)
        qvm_fail_errno(err, errno, path);
    close(fd);
    return failed ? -1 : 0;
}

/* make_private(path): true; a regular file, which is created if there is none, is for this
 * user alone. */
static int core_make_private(lua_State *L)
{
    struct qvm_error err;

    if (make_private(luaL_checkstring(L, 1), &err) != 0)
        return push_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* host_name(): the name of this host, "" if it has none. */
static int core_host_name(lua_State *L)
{
    char name[256] = "";

    gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    return 1;
}

/* now(): milliseconds; see os_clock_ms(). */
static int core_now(lua_State *L)
{
    lua_pushinteger(L, os_clock_ms());
    return 1;
}

/* sleep(milliseconds): returns early when a signal arrives. */
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
        {"lstat", core_lstat},
        {"open_file", core_open_file},
        {"create_file", core_create_file},
        {"compress_file", core_compress_file},
        {"find_data", core_find_data},
        {"whole_size", core_whole_size},
        {"save", core_save},
        {"free_space", core_free_space},
        {"remove_file", core_remove_file},
        {"make_private", core_make_private},
        {"host_name", core_host_name},
        {"now", core_now},
        {"sleep", core_sleep},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
