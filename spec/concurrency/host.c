/* A program that embeds Lua: runs a script in many Lua states at once, each in its own
 * thread.
 *
 * host SCRIPT THREADS before|after ARGUMENT
 *
 * The program has handlers for the usual signals. Its SIGBUS handler is installed before
 * the threads start or, with "after", repeatedly while they run; it chains to the handler
 * that it replaced. A script receives its thread number and ARGUMENT, and can call:
 *
 * unchanged() raises an error if a handler or the signal mask differs from the initial
 * one
 *
 * fault() causes a SIGBUS in the program's own memory; returns whether the program's
 * handler was called
 *
 * Prints "ok" or the problem. */
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
static struct sigaction previous;
static volatile bool done;

static void ignore(int number)
{
    (void)number;
}

/* Handles the faults of fault() and passes all others to the previous handler. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    if (escape)
        siglongjmp(*escape, 1);
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(number, info, context);
    else
        abort();
}

static void install_bus_handler(void)
{
    struct sigaction action, before;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGBUS, NULL, &before);
    if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == on_bus_error)
        return;
    previous = before;
    sigaction(SIGBUS, &action, NULL);
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

/* Reads the page; true if that raised SIGBUS and on_bus_error() jumped back here. */
static bool faults(const volatile char *page)
{
    sigjmp_buf here;
    bool faulted = true;

    if (sigsetjmp(here, 1) == 0) {
        escape = &here;
        faulted = page[0] != 0;
    }
    escape = NULL;
    return faulted;
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

static void *reinstall_bus_handler(void *nothing)
{
    while (!done) {
        install_bus_handler();
        usleep(1000);
    }
    return nothing;
}

int main(int argc, char **argv)
{
    static struct thread threads[MOST_THREADS];
    int count = argc == 5 ? atoi(argv[2]) : 0;
    bool good = true, after = argc == 5 && strcmp(argv[3], "after") == 0;
    pthread_t installer;

    if (count < 1 || count > MOST_THREADS)
        return 2;
    install_handlers();
    install_bus_handler();
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){.script = argv[1], .argument = argv[4], .number = i};
        pthread_create(&threads[i].id, NULL, run, &threads[i]);
    }
    if (after)
        pthread_create(&installer, NULL, reinstall_bus_handler, NULL);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        good = good && !threads[i].problem[0];
        fputs(threads[i].problem, stdout);
    }
    done = true;
    if (after)
        pthread_join(installer, NULL);
    if (good)
        puts("ok");
    return !good;
}
