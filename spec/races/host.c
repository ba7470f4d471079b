/* A program that embeds Lua: runs a script in many states, each in a thread of its own, at
 * once.
 *
 *     host SCRIPT THREADS before|after ARGUMENT
 *
 * It has handlers of its own for the signals that programs use, SIGBUS among them: that
 * one is installed before the threads run, or again and again while they do, calling what
 * was there before. A script gets the number of its thread and ARGUMENT, and the functions
 *
 *     unchanged()    raises where a handler or the signal mask is another than at first
 *     fault()        a SIGBUS in memory of the program's own; whether its handler saw it
 *
 * Prints "ok", or what went wrong. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_THREADS = 32 };

struct thread {
    pthread_t id;
    const char *script, *argument;
    int number;
    char problem[1024];
};

static const int watched[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGINT,
                              SIGTERM, SIGALRM, SIGSEGV, SIGHUP};

static _Thread_local sigjmp_buf *volatile escape;
static struct sigaction behind;
static volatile bool over;

static void ignore(int number)
{
    (void)number;
}

/* Takes the faults of fault(); another's are for what was there before. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    if (escape)
        siglongjmp(*escape, 1);
    if (behind.sa_flags & SA_SIGINFO)
        behind.sa_sigaction(number, info, context);
    else
        abort();
}

static void take_bus_errors(void)
{
    struct sigaction action, before;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGBUS, NULL, &before);
    if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == on_bus_error)
        return;
    behind = before;
    sigaction(SIGBUS, &action, NULL);
}

static void take_signals(void)
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

static bool faults(const volatile char *page)
{
    sigjmp_buf here;
    bool fell = true;

    if (sigsetjmp(here, 1) == 0) {
        escape = &here;
        fell = page[0] != 0;
    }
    escape = NULL;
    return fell;
}

static int fault(lua_State *L)
{
    FILE *empty = tmpfile();
    char *page = empty ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0) : NULL;

    if (!empty || page == MAP_FAILED)
        return luaL_error(L, "no file to fault in");
    lua_pushboolean(L, faults(page));
    munmap(page, 4096);
    fclose(empty);
    return 1;
}

static void *run(void *context)
{
    struct thread *thread = context;
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    lua_register(L, "unchanged", unchanged);
    lua_register(L, "fault", fault);
    if (luaL_loadfile(L, thread->script) != LUA_OK ||
        (lua_pushinteger(L, thread->number), lua_pushstring(L, thread->argument),
         lua_pcall(L, 2, 0, 0)) != LUA_OK)
        snprintf(thread->problem, sizeof thread->problem, "thread %d: %s\n", thread->number,
                 lua_tostring(L, -1));
    lua_close(L);
    return NULL;
}

static void *take_again(void *nothing)
{
    while (!over) {
        take_bus_errors();
        usleep(1000);
    }
    return nothing;
}

int main(int argc, char **argv)
{
    static struct thread threads[MOST_THREADS];
    int count = argc == 5 ? atoi(argv[2]) : 0;
    bool good = true, after = argc == 5 && strcmp(argv[3], "after") == 0;
    pthread_t taker;

    if (count < 1 || count > MOST_THREADS)
        return 2;
    take_signals();
    take_bus_errors();
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){.script = argv[1], .argument = argv[4], .number = i};
        pthread_create(&threads[i].id, NULL, run, &threads[i]);
    }
    if (after)
        pthread_create(&taker, NULL, take_again, NULL);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        good = good && !threads[i].problem[0];
        fputs(threads[i].problem, stdout);
    }
    over = true;
    if (after)
        pthread_join(taker, NULL);
    if (good)
        puts("ok");
    return !good;
}
