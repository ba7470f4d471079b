/* What interactive programs and servers need from their terminal and their standard
 * streams.
 *
 * Ctrl-C (SIGINT) at the prompt ends the statement that runs, not the program. As in Lua's
 * own interpreter, the signal handler sets a debug hook, which is one of the few things a
 * handler may do with a state, and the hook raises an error at the next instruction.
 * Between two statements there is nothing to end: the handler only sets a flag, which
 * await_input() reports. A second Ctrl-C before the first has taken effect ends the
 * program. */
#include "binding.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static lua_State *volatile running; /* the state of interruptible(), NULL outside it */
static volatile sig_atomic_t interrupted;

static void raise_interrupt(lua_State *L, lua_Debug *where)
{
    (void)where;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

/* The hook is not called within a long C function, nor in a coroutine that was created
 * before. Then the next Ctrl-C has its default action. */
static void on_interrupt(int number)
{
    lua_State *L = running;

    if (L && interrupted) {
        signal(number, SIG_DFL);
        raise(number);
    }
    interrupted = 1;
    if (L)
        lua_sethook(L, raise_interrupt,
                    LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* catch_interrupts(): from now on Ctrl-C has only the effects that interruptible() and
 * await_input() describe. */
static int core_catch_interrupts(lua_State *L)
{
    struct sigaction action;

    (void)L;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    return 0;
}

/* interruptible(f, ...): like pcall; Ctrl-C raises "interrupted!" in f. */
static int core_interruptible(lua_State *L)
{
    int status;

    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    interrupted = 0;
    running = L;
    status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    running = NULL;
    lua_sethook(L, NULL, 0, 0);
    interrupted = 0;
    if (status != LUA_OK) {
        lua_pushboolean(L, 0);
        lua_replace(L, 1);
    }
    return lua_gettop(L);
}

/* await_input(): true when standard input can be read, false on Ctrl-C. The signal is
 * blocked except inside pselect(), so one that arrives just before it is not missed. */
static int core_await_input(lua_State *L)
{
    sigset_t interrupt, before;
    fd_set input;
    int ready;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    do {
        FD_ZERO(&input);
        FD_SET(STDIN_FILENO, &input);
        ready = interrupted ? 0 : pselect(1, &input, NULL, NULL, NULL, &before);
    } while (ready < 0 && errno == EINTR && !interrupted);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    lua_pushboolean(L, !interrupted);
    interrupted = 0;
    return 1;
}

/* read_input(milliseconds): the bytes that standard input has, "" at its end; nil if there
 * are none within that time (-1: no limit) or if a signal arrives. */
static int core_read_input(lua_State *L)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    lua_Integer milliseconds = luaL_checkinteger(L, 1);
    char bytes[4096];
    ssize_t n;

    luaL_argcheck(L, milliseconds >= -1 && milliseconds <= INT_MAX, 1, "out of range");
    if (poll(&input, 1, (int)milliseconds) <= 0)
        return 0;
    n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    lua_pushlstring(L, bytes, n > 0 ? (size_t)n : 0);
    return 1;
}

/* is_output_closed(): whether the reader of standard output is gone. No event is asked for;
 * POLLERR and POLLHUP are always reported. */
static int core_is_output_closed(lua_State *L)
{
    struct pollfd output = {.fd = STDOUT_FILENO};

    lua_pushboolean(L, poll(&output, 1, 0) > 0);
    return 1;
}

/* is_terminal(fd): whether the descriptor refers to a terminal. */
static int core_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

void add_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"catch_interrupts", core_catch_interrupts},
        {"interruptible", core_interruptible},
        {"await_input", core_await_input},
        {"read_input", core_read_input},
        {"is_output_closed", core_is_output_closed},
        {"is_terminal", core_is_terminal},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
