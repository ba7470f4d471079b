/* A module for $LUA_INIT_5_4 that records which lines of the library an interpreter runs,
 * and appends them to a file in the directory $QVM_LINES when the process exits. It is a
 * line hook, written in C because it is called for every line. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 128, LINES = 2048, NAME = 64 };

struct source_file {
    char name[NAME]; /* relative to the checkout, such as lua/qvm/init.lua */
    unsigned char run[LINES];
};

static struct source_file files[FILES], *last;
static char last_source[512];

/* The file of a chunk, by Lua's name for the chunk; NULL for code outside the library. */
static struct source_file *find(const char *source)
{
    const char *name = strstr(source, "lua/qvm/");

    if (source[0] != '@' || !name || strlen(name) >= NAME)
        return NULL;
    for (struct source_file *file = files; file < files + FILES; file++) {
        if (!file->name[0])
            snprintf(file->name, sizeof file->name, "%s", name);
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

static void record_line(lua_State *L, lua_Debug *where)
{
    lua_getinfo(L, "S", where);
    if (strcmp(where->source, last_source) != 0) {
        snprintf(last_source, sizeof last_source, "%s", where->source);
        last = find(where->source);
    }
    if (last && where->currentline > 0 && where->currentline < LINES)
        last->run[where->currentline] = 1;
}

static void write_lines(void)
{
    char path[4096];
    FILE *out;

    snprintf(path, sizeof path, "%s/%ld", getenv("QVM_LINES"), (long)getpid());
    out = fopen(path, "a");
    for (struct source_file *file = files; out && file < files + FILES && file->name[0];
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
    atexit(write_lines);
    lua_sethook(L, record_line, LUA_MASKLINE, 0); /* coroutines inherit it */
    return 0;
}
