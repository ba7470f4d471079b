/* Checks that the SIGBUS handler of mapped files lives with handlers of the program: prints
 * "ok", or what went wrong. Uses the core without Lua. */
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

/* A program's handler that calls the one it has replaced, unless it is called too often. */
static void chaining(int number, siginfo_t *info, void *context)
{
    if (++calls > 3)
        siglongjmp(escape, 1);
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
}

static void at_the_bottom(int number)
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

/* A read of a file that is cut while it is open. */
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

int main(int argc, char **argv)
{
    struct sigaction bottom, now;
    struct image_file file;
    struct qvm_error err;

    if (argc < 2 || truncate(argv[1], 10000) != 0)
        return fail("usage: sigbus FILE");
    memset(&bottom, 0, sizeof bottom);
    bottom.sa_handler = at_the_bottom;
    bottom.sa_flags = SA_NODEFER;
    sigaction(SIGBUS, &bottom, NULL);
    if (cut_read(argv[1]) != 0)
        return 1;
    sigaction(SIGBUS, NULL, &now);
    if (now.sa_handler != at_the_bottom)
        return fail("the program's handler was not put back");

    /* The program puts a handler in front of ours, and ours has to stay behind it. */
    if (image_file_open(&file, argv[1], false, &err) != 0)
        return fail_error(&err);
    image_file_map(&file);
    install(&before, 0);
    for (calls = 0; calls < 2;)
        if (cut_read(argv[1]) != 0 || !mask_is_empty())
            return fail("the signal mask was changed");
    sigaction(SIGBUS, &before, NULL);
    install(&before, SA_NODEFER);
    image_file_close(&file);
    for (int again = 0; again < 2; again++) {
        if (image_file_open(&file, argv[1], false, &err) != 0)
            return fail_error(&err);
        image_file_map(&file);
        if (cut_read(argv[1]) != 0)
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
    }
    return fail("ok") - 1;
}
