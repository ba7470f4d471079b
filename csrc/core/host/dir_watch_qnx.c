/* Watching a directory on QNX: no notification of closed files is relied on, so the watch
 * only waits, and its caller looks. Never run on a QNX system. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "host/dir_watch.h"
#    include "util/os.h"

#    include <stdlib.h>
#    include <sys/stat.h>

struct dir_watch {
    int64_t interval_ms;
};

struct dir_watch *dir_watch_open(const char *directory, struct qvm_error *err)
{
    struct dir_watch *watch;
    struct stat status;

    if (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
        qvm_fail(err, QVM_NOT_FOUND, "%s: no such directory", directory);
        return NULL;
    }
    watch = malloc(sizeof *watch);
    if (watch)
        watch->interval_ms = 100;
    else
        qvm_fail_memory(err, directory);
    return watch;
}

void dir_watch_close(struct dir_watch *watch)
{
    free(watch);
}

bool dir_watch_sees_close(const struct dir_watch *watch)
{
    (void)watch;
    return false;
}

int dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms, const char **name)
{
    *name = NULL;
    if (timeout_ms <= 0)
        return 0;
    os_sleep(timeout_ms < watch->interval_ms ? timeout_ms : watch->interval_ms);
    return 2;
}

#else
typedef int dir_watch_is_another; /* a file must hold a declaration */
#endif
