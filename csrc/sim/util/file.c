/*
 * Reads whole files, and writes all bytes even if the system takes only some of them or a
 * signal arrives. A write that blocks ends when the simulator is told to quit.
 */
#define _GNU_SOURCE
#include "util/file.h"

#include "util/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { CHUNK = 65536, LONGEST = 16 << 20, WAIT_MS = 50 };

static int read_all(int fd, struct text *out)
{
    size_t start = out->length;

    for (;;) {
        if (!text_reserve(out, CHUNK)) {
            errno = ENOMEM;
            return -1;
        }
        ssize_t got = read(fd, out->data + out->length, CHUNK);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got == 0)
            break;
        out->length += got > 0 ? (size_t)got : 0;
        if (out->length - start > LONGEST) {
            errno = EFBIG;
            return -1;
        }
    }
    out->data[out->length] = '\0';
    return 0;
}

int file_read(const char *path, struct text *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    int result = read_all(fd, out);
    int error = errno;
    (void)close(fd);
    errno = error;
    return result;
}

/* After a failed write: waits if necessary. True: try again. */
static bool worth_retrying(int fd)
{
    if (errno != EINTR && errno != EAGAIN)
        return false;
    if (signals_quit()) {
        errno = ECANCELED;
        return false;
    }
    if (errno == EAGAIN) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        (void)poll(&ready, 1, WAIT_MS);
    }
    return true;
}

int file_write(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;

    while (count > 0) {
        ssize_t done = write(fd, at, count);
        if (done < 0) {
            if (!worth_retrying(fd))
                return -1;
            continue;
        }
        at += done;
        count -= (size_t)done;
    }
    return 0;
}

int file_read_at(int fd, uint64_t offset, void *bytes, size_t size)
{
    char *at = bytes;

    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO;
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

int file_open_standard(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* open() returns the lowest free descriptor: the missing one. */
        if (open("/dev/null", O_RDWR) != fd)
            return -1;
    }
    return 0;
}
