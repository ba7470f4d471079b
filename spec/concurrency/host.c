/* A program that embeds Lua: runs a script in many Lua states at once, each in its own
 * thread.
 *
 * host SCRIPT THREADS ARGUMENT
 *
 * The program has handlers for the usual signals. A script receives its thread number and
 * ARGUMENT, and can call unchanged(), which raises an error if a handler or the signal mask
 * differs from the initial one.
 *
 * Prints "ok" or the problem. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 32 };

struct thread {
    pthread_t id;
    const char *script, *argument;
    int number;
    char problem[1024];
};

static const int watched[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGINT,
                              SIGTERM, SIGALRM, SIGSEGV, SIGBUS,  SIGHUP};

static void ignore(int number)
{
    (void)number;
}

static void install_handlers(void)
{
    struct sigaction action;
    sigset_t mask;

    memset(&action, 0, sizeof action);
    action.sa_handler = ignore;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
        sigaction(watched[i], &action, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static int unchanged(lua_State *L)
{
    sigset_t mask;

    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++) {
        struct sigaction now;

        sigaction(watched[i], NULL, &now);
        if (now.sa_handler != ignore || now.sa_flags & SA_SIGINFO ||
            !(now.sa_flags & SA_RESTART))
            return luaL_error(L, "the handler of signal %d was changed", watched[i]);
    }
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 32; number++)
        if (sigismember(&mask, number) != (number == SIGWINCH))
            return luaL_error(L, "the mask of signal %d was changed", number);
    return 0;
}

static void *run(void *context)
{
    struct thread *thread = context;
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    lua_register(L, "unchanged", unchanged);
    if (luaL_loadfile(L, thread->script) != LUA_OK ||
        (lua_pushinteger(L, thread->number), lua_pushstring(L, thread->argument),
         lua_pcall(L, 2, 0, 0)) != LUA_OK)
        snprintf(thread->problem, sizeof thread->problem, "thread %d: %s\n", thread->number,
                 lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct thread threads[MOST_THREADS];
    int count = argc == 4 ? atoi(argv[2]) : 0;
    bool good = true;

    if (count < 1 || count > MOST_THREADS)
        return 2;
    install_handlers();
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){.script = argv[1], .argument = argv[3], .number = i};
        pthread_create(&threads[i].id, NULL, run, &threads[i]);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        good = good && !threads[i].problem[0];
        fputs(threads[i].problem, stdout);
    }
    if (good)
        puts("ok");
    return !good;
}
