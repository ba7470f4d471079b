/*
 * Takes a dump: opens the file or starts the command that receives it, has the image
 * written, and logs the result.
 */
#define _GNU_SOURCE
#include "dump/dump.h"

#include "dump/image.h"
#include "dump/shell.h"
#include "vm/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SUFFIX = 9 };

struct output {
    int fd;
    pid_t child; /* the command's process; 0: a file */
    struct text path;
};

static void compose_path(const struct conf *conf, const char *stamp, int suffix,
                         struct text *path)
{
    text_free(path);
    text_printf(path, "%s/%s-%s", conf->dump, conf->system, stamp);
    if (suffix > 0)
        text_printf(path, "-%d", suffix);
    text_string(path, ".gcore");
}

/* Creates the file with the first of ten names that is free. Returns 0, or an errno value.
 */
static int create_file(const struct conf *conf, struct output *output)
{
    char stamp[32];
    struct tm local;
    struct timespec now;

    /* Not time(), which lags some milliseconds behind this clock: its second could be the
       one before. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    tzset();
    if (!localtime_r(&now.tv_sec, &local) ||
        !strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local))
        return EOVERFLOW;
    for (int suffix = 0; suffix <= MOST_SUFFIX; suffix++) {
        compose_path(conf, stamp, suffix, &output->path);
        if (output->path.failed)
            return ENOMEM;
        output->fd = open(output->path.data,
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (output->fd >= 0)
            return 0;
        if (errno != EEXIST)
            return errno;
    }
    return EEXIST;
}

static int open_output(const struct conf *conf, struct output *output)
{
    if (conf->dump[0] != '|')
        return create_file(conf, output);
    text_string(&output->path, conf->dump);
    return shell_start(conf->dump + 1, &output->fd, &output->child);
}

/* Closes the output after writing has ended with `error`. Returns the error to report. */
static int close_output(struct output *output, int error)
{
    if (close(output->fd) && !error)
        error = errno;
    if (!output->child) {
        if (error && error != ECANCELED)
            (void)unlink(output->path.data);
        return error;
    }
    /* Abandoned: the command reads the end of its input, and nobody waits for it. */
    return error == ECANCELED ? error : shell_finish(output->child, error);
}

static int write_image(struct vm *vm, const struct output *output)
{
    const struct conf *conf = vm->conf;
    struct text report = {0};
    struct sink sink;

    report_compose(vm, "dump", vm->dumps, true, &report);
    sink_open(&sink, output->fd, !output->child, image_size(conf), conf->dump_seconds);
    image_write(vm, vm->dumps, &report, &sink);
    text_free(&report);
    return sink_close(&sink);
}

static void log_result(const struct vm *vm, const struct output *output, int error)
{
    const struct logger *logger = &vm->conf->logger;
    const char *path = output->path.data ? output->path.data : vm->conf->dump;

    if (error == ECANCELED)
        logger_line(logger, LEVEL_WARN, "dump %" PRIu64 " to %s abandoned", vm->dumps,
                    path);
    else if (error == SHELL_FAILED)
        logger_line(logger, LEVEL_ERROR, "dump to %s: the command failed", path);
    else if (error == EEXIST)
        logger_line(logger, LEVEL_ERROR, "no dump: all ten names up to %s are taken", path);
    else if (error)
        logger_line(logger, LEVEL_ERROR, "dump to %s failed: %s", path, strerror(error));
    else
        logger_line(logger, LEVEL_INFO, "dump %" PRIu64 " written to %s", vm->dumps, path);
}

bool dump_take(struct vm *vm)
{
    const struct conf *conf = vm->conf;
    struct output output = {.fd = -1};

    if (!conf->dump) {
        logger_line(&conf->logger, LEVEL_ERROR, "dump: no dump option is configured");
        return false;
    }
    int error = open_output(conf, &output);
    if (!error) {
        vm->dumps++;
        error = close_output(&output, write_image(vm, &output));
    }
    log_result(vm, &output, error);
    text_free(&output.path);
    return error == 0;
}
