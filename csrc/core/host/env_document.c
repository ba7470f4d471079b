/* Reads a document until read() returns 0. The env is composed by its server while it is
 * read, so the size in its status may be 0 or out of date and is not used; instead the
 * buffer grows by doubling, up to a limit that a broken server cannot exceed.
 *
 * The deadline covers the whole document: it is a point in time, and no read waits longer
 * than until then, so a server that sends a byte now and then is stopped as well. The env
 * may change between two reads; the decoder rejects a mixture that is not JSON. */
#include "host/env_document.h"

#include "host/vm_server.h"
#include "util/file_io.h"
#include "util/os.h"

#include <stdlib.h>
#include <unistd.h>

/* Makes room for at least one more byte. */
static int grow(struct env_document *document, const char *path, struct qvm_error *err)
{
    size_t capacity = document->capacity ? document->capacity * 2 : 8192;
    char *bytes;

    if (document->size < document->capacity)
        return 0;
    bytes = realloc(document->bytes, capacity);
    if (!bytes)
        return qvm_fail_memory(err, path);
    document->bytes = bytes;
    document->capacity = capacity;
    return 0;
}

/* How many bytes the next read asks for. */
static size_t room(const struct env_document *document)
{
    size_t size = document->capacity - document->size;

    return document->piece != 0 && document->piece < size ? document->piece : size;
}

/* The size is checked before each read, so the buffer has at most twice ENV_SIZE_MAX. The
 * loop ends at end of file (0), at an error or the deadline (-1), or at the limit. */
static int read_all(int fd, const char *path, struct env_document *document,
                    int64_t deadline, struct qvm_error *err)
{
    ssize_t length;

    do {
        if (document->size > ENV_SIZE_MAX)
            return qvm_fail(err, QVM_TOO_LARGE, "%s: longer than %u MiB", path,
                            ENV_SIZE_MAX >> 20);
        if (grow(document, path, err) != 0)
            return -1;
        length = vm_server_read(fd, path, document->bytes + document->size, room(document),
                                deadline, err);
        if (length > 0)
            document->size += (size_t)length;
    } while (length > 0);
    return (int)length;
}

static int read_and_close(int fd, const char *path, struct env_document *document,
                          int64_t deadline, struct qvm_error *err)
{
    int status;

    document->size = 0;
    if (fd < 0)
        return -1;
    status = read_all(fd, path, document, deadline, err);
    close(fd);
    return status;
}

int env_document_read(const char *path, int64_t deadline, struct env_document *document,
                      struct qvm_error *err)
{
    return read_and_close(vm_server_open(path, deadline, err), path, document, deadline,
                          err);
}

int env_document_read_file(const char *path, struct env_document *document,
                           struct qvm_error *err)
{
    int64_t deadline = os_clock_ms() + ENV_WAIT_MS;
    uint64_t size;

    return read_and_close(regular_open(path, &size, err), path, document, deadline, err);
}

void env_document_free(struct env_document *document)
{
    free(document->bytes);
    *document = (struct env_document){0};
}
