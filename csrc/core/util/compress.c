/* gzip gets both files as its standard input and output, so it opens no name that somebody
 * could exchange. It is a process of its own since a dump takes minutes: Ctrl-C ends it. */
#include "util/compress.h"

#include "util/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Returns 0, or the errno of what failed. */
static int start_gzip(int input, int output, pid_t *child)
{
    char *const arguments[] = {"gzip", "-1", "-c", NULL};
    posix_spawn_file_actions_t files;
    int number = posix_spawn_file_actions_init(&files);

    if (number != 0)
        return number;
    number = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (number == 0)
        number = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    if (number == 0)
        number = posix_spawnp(child, arguments[0], &files, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    return number;
}

static bool run_gzip(int input, int output)
{
    pid_t child, ended;
    int status;

    if (lseek(input, 0, SEEK_SET) != 0 || start_gzip(input, output, &child) != 0)
        return false;
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int compress_file(int fd, const char *path, const char *to, struct qvm_error *err)
{
    int output = retry_create(AT_FDCWD, to, 0600);
    bool done;

    if (output < 0 && errno == EEXIST)
        return qvm_fail(err, QVM_BUSY, "%s: exists already", to);
    if (output < 0)
        return qvm_fail_errno(err, errno, to);
    done = run_gzip(fd, output);
    done = close(output) == 0 && done;
    if (done)
        return 0;
    unlink(to);
    return qvm_fail(err, QVM_IO, "%s: cannot be compressed with gzip", path);
}
