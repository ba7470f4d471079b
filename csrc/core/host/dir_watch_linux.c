/* Watching a directory on Linux, with inotify. One read() returns several events, each a
 * header and a padded name; they are kept in a buffer and returned one per call.
 *
 * IN_CLOSE_WRITE says that a writer has closed its file, IN_MOVED_TO that a file was
 * renamed into the directory, as writers do with a finished one. The kernel drops events
 * when its queue is full and says so once (IN_Q_OVERFLOW); from then on a missing event
 * proves nothing. */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/dir_watch.h"
#    include "util/os.h"

#    include <errno.h>
#    include <stdlib.h>
#    include <sys/inotify.h>
#    include <unistd.h>

struct dir_watch {
    int fd;
    bool overflowed; /* events were lost */
    size_t at, size; /* the buffer has unread events from `at` to `size` */
    _Alignas(struct inotify_event) char buffer[4096];
};

struct dir_watch *dir_watch_open(const char *directory, struct qvm_error *err)
{
    const uint32_t events = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR;
    struct dir_watch *watch = calloc(1, sizeof *watch);

    if (!watch) {
        qvm_fail_memory(err, directory);
        return NULL;
    }
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd >= 0 && inotify_add_watch(watch->fd, directory, events) >= 0)
        return watch;
    qvm_fail_errno(err, errno, directory);
    dir_watch_close(watch);
    return NULL;
}

void dir_watch_close(struct dir_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}

bool dir_watch_sees_close(const struct dir_watch *watch)
{
    return !watch->overflowed;
}

/* Fills the buffer if it is empty; false if no event arrives in time. */
static bool fill_buffer(struct dir_watch *watch, int64_t timeout_ms)
{
    ssize_t length;

    if (watch->at < watch->size)
        return true;
    if (!os_wait_readable(watch->fd, timeout_ms))
        return false;
    length = read(watch->fd, watch->buffer, sizeof watch->buffer);
    watch->at = 0;
    watch->size = length > 0 ? (size_t)length : 0;
    return watch->size > 0;
}

/*     event    wd(4)  mask(4)  cookie(4)  len(4)  name: len bytes, padded with NULs
 *
 * The kernel writes whole events only, so the header and the name are in the buffer. The
 * name stays valid until the next call. */
enum dir_watch_event dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms,
                                    const char **name)
{
    const struct inotify_event *event;

    *name = NULL;
    if (!fill_buffer(watch, timeout_ms))
        return DIR_WATCH_NOTHING;
    event = (const struct inotify_event *)(const void *)(watch->buffer + watch->at);
    watch->at += sizeof *event + event->len;
    if (event->mask & IN_Q_OVERFLOW)
        watch->overflowed = true;
    if (event->len > 0)
        *name = event->name;
    return *name && (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) ? DIR_WATCH_CLOSED
                                                                   : DIR_WATCH_CHANGED;
}

#else
typedef int dir_watch_linux_is_unused; /* a file must not be empty */
#endif
