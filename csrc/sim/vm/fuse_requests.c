/*
 * Answers the kernel's requests: the directory has env and a node for each vdev with a
 * name.
 *
 * The document is composed when env is opened, and kept until that descriptor is closed, so
 * a reader sees one state. Since env has size 0, reads bypass the page cache (direct_io):
 * it would end a file at its size. Names and attributes are valid for no time, so each
 * stat() asks anew.
 *
 * A request that hangs is held in a list, and the thread goes on with others. The kernel
 * reports if a signal interrupts the process that waits for it; the request then fails with
 * EINTR, as a QNX resource manager unblocks its client. A request of this process never
 * hangs.
 *
 * Lock order: libfuse's lock of a request, then `lock`. So no call to libfuse that takes
 * the lock of a request is made under `lock`.
 */
#define _GNU_SOURCE
#include "vm/fuse_requests.h"

#include "vm/env.h"
#include "vm/envfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Inode numbers: the root has FUSE_ROOT_ID (1), and vdev i has INODE_VDEV + i. */
enum { INODE_ENV = 2, INODE_VDEV = 3 };

enum { MOST_RECORDED = 64 << 10 /* bytes */ };

struct held {
    struct held *next;
    fuse_req_t request;
    enum node_hang where; /* what it asks for: open, read, or close */
    struct fuse_file_info file;
    size_t size; /* of a read */
    off_t offset;
};

static struct fuse_requests *requests_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

/* Nodes ------------------------------------------------------------------------------- */

/* The process of the thread `tid`: the kernel reports threads. 0: it has ended. */
static pid_t process_of(pid_t tid)
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

static bool is_own(fuse_req_t request)
{
    return process_of(fuse_req_ctx(request)->pid) == getpid();
}

/* Until env is locked, it exists for this process alone. */
static bool is_visible(fuse_req_t request)
{
    struct fuse_requests *requests = requests_of(request);

    (void)pthread_mutex_lock(&requests->lock);
    bool published = requests->published;
    (void)pthread_mutex_unlock(&requests->lock);
    return published || is_own(request);
}

/* NULL: there is no such node. */
static const char *name_of(const struct conf *conf, fuse_ino_t inode)
{
    if (inode == INODE_ENV)
        return ENVFILE_NAME;
    return inode >= INODE_VDEV && inode - INODE_VDEV < conf->vdev_count
               ? conf->vdevs[inode - INODE_VDEV].name
               : NULL;
}

static struct stat attributes_of(fuse_ino_t inode)
{
    bool is_root = inode == FUSE_ROOT_ID;

    return (struct stat){.st_ino = inode,
                         .st_mode = is_root ? S_IFDIR | 0755 : S_IFREG | 0644,
                         .st_nlink = is_root ? 2 : 1,
                         .st_uid = geteuid(),
                         .st_gid = getegid()};
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    const struct conf *conf = requests_of(request)->vm->conf;
    fuse_ino_t last = INODE_VDEV + conf->vdev_count;
    fuse_ino_t inode = INODE_ENV;
    const char *other;

    while (inode < last && !((other = name_of(conf, inode)) && strcmp(other, name) == 0))
        inode++;
    if (parent != FUSE_ROOT_ID || inode == last ||
        (inode == INODE_ENV && !is_visible(request))) {
        (void)fuse_reply_err(request, ENOENT);
        return;
    }
    struct fuse_entry_param entry = {.ino = inode, .attr = attributes_of(inode)};
    (void)fuse_reply_entry(request, &entry);
}

static void get_attributes(fuse_req_t request, fuse_ino_t inode,
                           struct fuse_file_info *file)
{
    struct stat attributes = attributes_of(inode);

    (void)file;
    (void)fuse_reply_attr(request, &attributes, 0);
}

/* Offset 0 and 1 are "." and "..", and from 2 on they are inodes. */
static void read_directory(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                           struct fuse_file_info *file)
{
    const struct conf *conf = requests_of(request)->vm->conf;
    char entries[4096];
    size_t used = 0;
    size_t room = size < sizeof entries ? size : sizeof entries;

    (void)inode;
    (void)file;
    for (off_t at = offset; at < (off_t)(INODE_VDEV + conf->vdev_count); at++) {
        const char *name = at < 2 ? &".."[1 - at] : name_of(conf, (fuse_ino_t)at);
        struct stat attributes = attributes_of(at < 2 ? FUSE_ROOT_ID : (fuse_ino_t)at);
        if (!name || (at == INODE_ENV && !is_visible(request)))
            continue;
        size_t length = fuse_add_direntry(request, entries + used, room - used, name,
                                          &attributes, at + 1);
        if (length > room - used)
            break;
        used += length;
    }
    (void)fuse_reply_buf(request, entries, used);
}

/* The record -------------------------------------------------------------------------- */

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

static void record(struct fuse_requests *requests, const char *node, pid_t pid)
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

/* Requests that can hang -------------------------------------------------------------- */

static void free_document(const struct fuse_file_info *file)
{
    struct text *document = (struct text *)(uintptr_t)file->fh;

    if (document)
        text_free(document);
    free(document);
}

static void answer_open(struct fuse_requests *requests, struct held *held)
{
    struct text *document = calloc(1, sizeof *document);

    if (document)
        env_compose(requests->vm, document);
    held->file.fh = (uintptr_t)document;
    held->file.direct_io = 1;
    if (!document || document->failed) {
        free_document(&held->file);
        (void)fuse_reply_err(held->request, ENOMEM);
    } else if (fuse_reply_open(held->request, &held->file)) {
        free_document(&held->file); /* interrupted: there will be no release */
    }
}

static void answer_read(struct fuse_requests *requests, const struct held *held)
{
    const struct text *document = (const struct text *)(uintptr_t)held->file.fh;
    size_t offset = (size_t)held->offset;
    size_t left = document && offset < document->length ? document->length - offset : 0;
    size_t size = held->size < left ? held->size : left;

    (void)pthread_mutex_lock(&requests->lock);
    if (requests->trickle && size > 1)
        size = 1;
    (void)pthread_mutex_unlock(&requests->lock);
    (void)fuse_reply_buf(held->request, size ? document->data + offset : NULL, size);
}

static void answer(struct fuse_requests *requests, struct held *held)
{
    if (held->where == NODE_HANGS_OPEN)
        answer_open(requests, held);
    else if (held->where == NODE_HANGS_READ)
        answer_read(requests, held);
    else
        (void)fuse_reply_err(held->request, 0);
}

/* libfuse calls it, in the thread of the requests and under the request's lock, when the
   process that waits was interrupted. */
static void interrupt(fuse_req_t request, void *data)
{
    struct fuse_requests *requests = data;

    (void)pthread_mutex_lock(&requests->lock);
    struct held **at = &requests->held;
    while (*at && (*at)->request != request)
        at = &(*at)->next;
    struct held *held = *at;
    if (held)
        *at = held->next;
    (void)pthread_mutex_unlock(&requests->lock);
    if (held)
        (void)fuse_reply_err(request, EINTR);
    free(held);
}

/* False: it does not hang, or was interrupted before it was read. */
static bool hold(struct fuse_requests *requests, const struct held *request)
{
    struct held *held = malloc(sizeof *held);
    bool holds = false;

    if (!held)
        return false;
    *held = *request;
    fuse_req_interrupt_func(request->request, interrupt, requests);
    (void)pthread_mutex_lock(&requests->lock);
    if (requests->hang == request->where && !fuse_req_interrupted(request->request)) {
        holds = true;
        held->next = requests->held;
        requests->held = held;
    }
    (void)pthread_mutex_unlock(&requests->lock);
    if (!holds)
        free(held);
    return holds;
}

static void serve(fuse_req_t request, struct held held)
{
    struct fuse_requests *requests = requests_of(request);

    held.request = request;
    if (!hold(requests, &held))
        answer(requests, &held);
}

/* This process opens env to lock it, as F_WRLCK needs, for writing. Without a flush at its
   close: if the process is killed, nobody is left to answer that. */
static void open_own(fuse_req_t request, struct fuse_file_info *file)
{
    file->noflush = 1;
    (void)fuse_reply_open(request, file);
}

static void open_node(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    struct fuse_requests *requests = requests_of(request);
    const char *name = name_of(requests->vm->conf, inode);
    pid_t pid = process_of(fuse_req_ctx(request)->pid);

    file->fh = 0;
    if (pid == getpid()) {
        open_own(request, file);
        return;
    }
    record(requests, name ? name : "?", pid);
    if ((file->flags & O_ACCMODE) != O_RDONLY)
        (void)fuse_reply_err(request, EACCES);
    else if (inode == INODE_ENV)
        serve(request, (struct held){.where = NODE_HANGS_OPEN, .file = *file});
    else
        (void)fuse_reply_open(request, file);
}

static void read_node(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                      struct fuse_file_info *file)
{
    if (inode == INODE_ENV)
        serve(request,
              (struct held){
                  .where = NODE_HANGS_READ, .file = *file, .size = size, .offset = offset});
    else
        (void)fuse_reply_buf(request, NULL, 0);
}

/* close() waits for the answer to this one, but not to a release. */
static void flush_node(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    if (inode == INODE_ENV)
        serve(request, (struct held){.where = NODE_HANGS_CLOSE, .file = *file});
    else
        (void)fuse_reply_err(request, 0);
}

static void release_node(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    (void)inode;
    free_document(file);
    (void)fuse_reply_err(request, 0);
}

const struct fuse_lowlevel_ops fuse_requests_ops = {
    .lookup = look_up,
    .getattr = get_attributes,
    .readdir = read_directory,
    .open = open_node,
    .read = read_node,
    .flush = flush_node,
    .release = release_node,
};

/* For node_fuse.c --------------------------------------------------------------------- */

void fuse_requests_init(struct fuse_requests *requests, const struct vm *vm)
{
    *requests = (struct fuse_requests){.vm = vm};
    (void)pthread_mutex_init(&requests->lock, NULL);
}

void fuse_requests_free(struct fuse_requests *requests)
{
    (void)pthread_mutex_destroy(&requests->lock);
    text_free(&requests->opens);
}

struct held *fuse_requests_take(struct fuse_requests *requests)
{
    (void)pthread_mutex_lock(&requests->lock);
    struct held *held = requests->held;
    requests->held = NULL;
    (void)pthread_mutex_unlock(&requests->lock);
    return held;
}

void fuse_requests_answer(struct fuse_requests *requests, struct held *held)
{
    while (held) {
        struct held *next = held->next;
        answer(requests, held);
        free(held);
        held = next;
    }
}

void fuse_requests_fail(struct held *held, int error)
{
    while (held) {
        struct held *next = held->next;
        (void)fuse_reply_err(held->request, error);
        free(held);
        held = next;
    }
}
