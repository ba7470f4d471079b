/* A module for $LUA_INIT_5_4 that notes which lines of the library an interpreter runs, and
 * leaves them in a file of the directory $QVM_LINES when the process exits. In C, since it
 * is called for every line. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 128, LINES = 2048, NAME = 64 };

struct image_file {
    char name[NAME]; /* below the checkout, such as lua/qvm/init.lua */
    unsigned char run[LINES];
};

static struct image_file files[FILES], *last;
static char last_source[512];

/* The file of a chunk by the name that Lua has for it, NULL where it is none of ours. */
static struct image_file *find(const char *source)
{
    const char *name = strstr(source, "lua/qvm/");

    if (source[0] != '@' || !name || strlen(name) >= NAME)
        return NULL;
    for (struct image_file *file = files; file < files + FILES; file++) {
        if (!file->name[0])
            snprintf(file->name, sizeof file->name, "%s", name);
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

static void note(lua_State *L, lua_Debug *where)
{
    lua_getinfo(L, "S", where);
    if (strcmp(where->source, last_source) != 0) {
        snprintf(last_source, sizeof last_source, "%s", where->source);
        last = find(where->source);
    }
    if (last && where->currentline > 0 && where->currentline < LINES)
        last->run[where->currentline] = 1;
}

static void leave(void)
{
    char path[4096];
    FILE *out;

    snprintf(path, sizeof path, "%s/%ld", getenv("QVM_LINES"), (long)getpid());
    out = fopen(path, "a");
    for (struct image_file *file = files; out && file < files + FILES && file->name[0];
         file++)
        for (int line = 1; line < LINES; line++)
            if (file->run[line])
                fprintf(out, "%s:%d\n", file->name, line);
    if (out)
        fclose(out);
}

int luaopen_lines(lua_State *L);

int luaopen_lines(lua_State *L)
{
    atexit(leave);
    lua_sethook(L, note, LUA_MASKLINE, 0); /* its coroutines take it over */
    return 0;
}
