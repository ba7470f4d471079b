/* Preloaded into a script by a spec: stops it when it has found the process that serves a
 * VM and is about to open that process's /proc directory. The spec can then let the process
 * die, and another one get its id, at this moment. $QVM_PAUSE names a FIFO: the script
 * continues when a line comes through it. */
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
    /* The line must be read: if the FIFO were closed before, writing it would fail. */
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
