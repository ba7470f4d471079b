/* Watching a directory on Linux: inotify reports when a writer closes a file. */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/dir_watch.h"

#    include <errno.h>
#    include <poll.h>
#    include <stdlib.h>
#    include <sys/inotify.h>
#    include <unistd.h>

static int to_poll_timeout(int64_t milliseconds)
{
    if (milliseconds < 0)
        return 0;
    return milliseconds > 1000000 ? 1000000 : (int)milliseconds;
}

struct dir_watch {
    int fd;
    bool lost;       /* the queue overflowed: a closing may have been missed */
    size_t at, size; /* unread events in the buffer */
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
    return !watch->lost;
}

/* Fills the buffer with events if it is empty; false if there are none by then. */
static bool fill_events(struct dir_watch *watch, int64_t timeout_ms)
{
    struct pollfd ready = {.fd = watch->fd, .events = POLLIN};
    ssize_t got;

    if (watch->at < watch->size)
        return true;
    if (poll(&ready, 1, to_poll_timeout(timeout_ms)) <= 0)
        return false;
    got = read(watch->fd, watch->buffer, sizeof watch->buffer);
    watch->at = 0;
    watch->size = got > 0 ? (size_t)got : 0;
    return watch->size > 0;
}

int dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms, const char **name)
{
    const struct inotify_event *event;

    if (!fill_events(watch, timeout_ms))
        return 0;
    event = (const struct inotify_event *)(const void *)(watch->buffer + watch->at);
    watch->at += sizeof *event + event->len;
    watch->lost = watch->lost || (event->mask & IN_Q_OVERFLOW) != 0;
    *name = event->len > 0 ? event->name : NULL;
    return *name && (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) ? 1 : 2;
}

#else
typedef int dir_watch_is_another; /* a file must hold a declaration */
#endif
