#include "host/env_document.h"

#include "host/vm_server.h"
#include "util/file_io.h"
#include "util/os.h"

#include <stdlib.h>
#include <unistd.h>

static int grow(struct env_document *text, const char *path, struct qvm_error *err)
{
    size_t room = text->room ? text->room * 2 : 8192;
    char *bytes;

    if (text->size < text->room)
        return 0;
    bytes = realloc(text->bytes, room);
    if (!bytes)
        return qvm_fail_memory(err, path);
    text->bytes = bytes;
    text->room = room;
    return 0;
}

static int read_all(int fd, const char *path, struct env_document *text, int64_t deadline,
                    struct qvm_error *err)
{
    ssize_t got;

    do {
        if (text->size > ENV_SIZE_MAX)
            return qvm_fail(err, QVM_TOO_LARGE, "%s: longer than %u MiB", path,
                            ENV_SIZE_MAX >> 20);
        if (grow(text, path, err) != 0)
            return -1;
        got = vm_server_read(fd, path, text->bytes + text->size, text->room - text->size,
                             deadline, err);
        if (got > 0)
            text->size += (size_t)got;
    } while (got > 0);
    return (int)got;
}

static int read_and_close(int fd, const char *path, struct env_document *text,
                          int64_t deadline, struct qvm_error *err)
{
    int status;

    text->size = 0;
    if (fd < 0)
        return -1;
    status = read_all(fd, path, text, deadline, err);
    close(fd);
    return status;
}

int env_document_read(const char *path, int64_t deadline, struct env_document *text,
                      struct qvm_error *err)
{
    return read_and_close(vm_server_open(path, deadline, err), path, text, deadline, err);
}

int env_document_read_file(const char *path, struct env_document *text,
                           struct qvm_error *err)
{
    int64_t deadline = os_clock_ms() + ENV_WAIT_MS;
    uint64_t size;

    return read_and_close(regular_open(path, &size, err), path, text, deadline, err);
}

void env_document_free(struct env_document *text)
{
    free(text->bytes);
    *text = (struct env_document){0};
}
