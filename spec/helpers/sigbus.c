/* Checks that the SIGBUS handler of mapped files (dump/guarded_mmap.h) works together with
 * handlers of the program, installed before or after it. Prints "ok", or what went wrong.
 * Uses the core without Lua. */
#include "dump/image_file.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sigaction before;
static int calls;
static sigjmp_buf escape;

static int fail(const char *what)
{
    printf("%s\n", what);
    return 1;
}

/* A program's handler that chains to the one it replaced. Two handlers that call each other
 * are detected by the number of calls. */
static void chaining(int number, siginfo_t *info, void *context)
{
    if (++calls > 3)
        siglongjmp(escape, 1);
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
}

/* A program's handler that was there first. */
static void first_handler(int number)
{
    (void)number;
    siglongjmp(escape, 2);
}

static void install(struct sigaction *old, int more_flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = chaining;
    action.sa_flags = SA_SIGINFO | more_flags;
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGBUS, &action, old);
}

static int mask_is_empty(void)
{
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    return !sigismember(&mask, SIGBUS) && !sigismember(&mask, SIGUSR1);
}

static int fail_error(const struct qvm_error *err)
{
    char text[QVM_MESSAGE_SIZE];

    qvm_error_text(err, text, sizeof text);
    return fail(text);
}

/* Reads a file that is truncated while it is mapped: QVM_TRUNCATED is expected. */
static int cut_read(const char *path)
{
    struct image_file file;
    struct qvm_error err;
    char byte;
    int status;

    if (image_file_open(&file, path, false, &err) != 0)
        return fail_error(&err);
    image_file_map(&file);
    if (image_file_read(&file, 0, &byte, 1, &err) != 0)
        return fail_error(&err);
    if (truncate(path, 0) != 0)
        return fail("truncate");
    status = image_file_read(&file, 8000, &byte, 1, &err);
    image_file_close(&file);
    if (truncate(path, 10000) != 0)
        return fail("truncate");
    return status != 0 && err.code == QVM_TRUNCATED ? 0 : fail("not truncated");
}

/* With no other handler installed meanwhile: the first one is restored afterwards. */
static int test_restore(const char *path)
{
    struct sigaction first, now;

    memset(&first, 0, sizeof first);
    first.sa_handler = first_handler;
    first.sa_flags = SA_NODEFER;
    sigaction(SIGBUS, &first, NULL);
    if (cut_read(path) != 0)
        return 1;
    sigaction(SIGBUS, NULL, &now);
    return now.sa_handler == first_handler ? 0
                                           : fail("the program's handler was not put back");
}

/* The program installs a handler over ours, which then has to remain reachable. */
static int test_chain(const char *path)
{
    struct image_file file;
    struct qvm_error err;

    if (image_file_open(&file, path, false, &err) != 0)
        return fail_error(&err);
    image_file_map(&file);
    install(&before, 0);
    for (calls = 0; calls < 2;)
        if (cut_read(path) != 0 || !mask_is_empty())
            return fail("the signal mask was changed");
    sigaction(SIGBUS, &before, NULL);
    install(&before, SA_NODEFER);
    image_file_close(&file);
    return 0;
}

/* A SIGBUS that is not ours reaches the program's handlers: the chaining one, then the
 * first. */
static int test_foreign(const char *path)
{
    struct image_file file;
    struct qvm_error err;

    if (image_file_open(&file, path, false, &err) != 0)
        return fail_error(&err);
    image_file_map(&file);
    if (cut_read(path) != 0)
        return 1;
    calls = 0;
    switch (sigsetjmp(escape, 1)) {
    case 0: raise(SIGBUS); return fail("a SIGBUS was lost");
    case 1: return fail("the handlers call each other for ever");
    default: break;
    }
    if (calls != 1)
        return fail("the program's handler was passed over");
    image_file_close(&file);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || truncate(argv[1], 10000) != 0)
        return fail("usage: sigbus FILE");
    if (test_restore(argv[1]) != 0 || test_chain(argv[1]) != 0)
        return 1;
    for (int i = 0; i < 2; i++)
        if (test_foreign(argv[1]) != 0)
            return 1;
    puts("ok");
    return 0;
}
