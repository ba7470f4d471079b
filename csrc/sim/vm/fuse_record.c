/*
 * The record of who opened which node. The kernel reports the thread that makes a request;
 * /proc says of which process it is. That thread waits for the answer, so it is still
 * there.
 */
#define _GNU_SOURCE
#include "vm/fuse_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RECORDED = 64 << 10 /* bytes */ };

pid_t fuse_process_of(pid_t tid)
{
    char path[64];
    char line[128];
    long pid = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)tid);
    FILE *file = fopen(path, "re");
    while (file && pid == 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, "Tgid:", 5) == 0)
            pid = strtol(line + 5, NULL, 10);
    }
    if (file)
        (void)fclose(file);
    return (pid_t)pid;
}

static void add_command(struct text *line, pid_t pid)
{
    char path[64];
    char name[64] = "";

    (void)snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fgets(name, sizeof name, file))
            name[strcspn(name, "\n")] = '\0';
        (void)fclose(file);
    }
    text_clean(line, *name ? name : "?");
}

void fuse_record_open(struct fuse_requests *requests, const char *node, pid_t pid)
{
    struct text line = {0};

    text_string(&line, "open ");
    text_clean(&line, node);
    text_printf(&line, " %ld ", (long)pid);
    add_command(&line, pid);
    text_string(&line, "\n");
    (void)pthread_mutex_lock(&requests->lock);
    if (line.failed || requests->opens.length + line.length > MOST_RECORDED)
        requests->unrecorded++;
    else
        text_bytes(&requests->opens, line.data, line.length);
    (void)pthread_mutex_unlock(&requests->lock);
    text_free(&line);
}
