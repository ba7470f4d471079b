/* Watching a directory on QNX. Written from QNX's public documentation; never run on a QNX
 * system. No notification of closed files is relied on there: the watch only sleeps for a
 * short interval and reports that something may have changed, and the caller looks at the
 * directory. */
#if defined(__QNXNTO__)
#    define _QNX_SOURCE

#    include "host/dir_watch.h"
#    include "util/os.h"

#    include <stdlib.h>
#    include <sys/stat.h>

enum { INTERVAL_MS = 100 };

struct dir_watch {
    char unused; /* a watch has no state here */
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
    if (!watch)
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

enum dir_watch_event dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms,
                                    const char **name)
{
    (void)watch;
    *name = NULL;
    if (timeout_ms <= 0)
        return DIR_WATCH_NOTHING;
    os_sleep(timeout_ms < INTERVAL_MS ? timeout_ms : INTERVAL_MS);
    return DIR_WATCH_CHANGED;
}

#else
typedef int dir_watch_qnx_is_unused; /* a file must not be empty */
#endif
