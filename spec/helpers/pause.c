/* Preloaded into a script by a spec: replaces open(). It pauses the script when it opens
 * the /proc directory of the process that serves a VM, so that the spec can end that
 * process and start another one with the same id. It prints "paused", and goes on when a
 * line arrives through the FIFO $QVM_PAUSE. */
#define _GNU_SOURCE
#include "opens.h"

#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int opener(const char *path, int flags, ...);

static opener *next_open;

static void pause_at(const char *path)
{
    const char *fifo = getenv("QVM_PAUSE");
    char line;
    int fd;

    if (!fifo || strncmp(path, "/proc/", 6) != 0 || !isdigit((unsigned char)path[6]))
        return;
    if (write(STDOUT_FILENO, "paused\n", 7) != 7)
        abort();
    fd = next_open(fifo, O_RDONLY);
    /* Not closed before the line is read: otherwise the spec, which writes it, would fail.
     */
    if (fd < 0 || read(fd, &line, 1) != 1)
        abort();
    close(fd);
}

static int open_instead(const char *path, int flags, mode_t mode)
{
    if (!next_open)
        *(void **)&next_open = dlsym(RTLD_NEXT, "open");
    pause_at(path);
    return next_open(path, flags, mode);
}
