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

struct held {
    struct held *next;
    fuse_req_t request;
    enum node_hang where; /* what it asks for: open, read, or close */
    struct fuse_file_info file;
    size_t size; /* of a read */
    off_t offset;
};

/* What an open of env sees. */
struct document {
    struct document *next;
    struct text text;
};

static struct fuse_requests *requests_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

/* Nodes ------------------------------------------------------------------------------- */

static bool is_own(fuse_req_t request)
{
    return fuse_process_of(fuse_req_ctx(request)->pid) == getpid();
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

/* Requests that can hang -------------------------------------------------------------- */

/* NULL: no memory. */
static struct document *new_document(struct fuse_requests *requests)
{
    struct document *document = calloc(1, sizeof *document);

    if (!document)
        return NULL;
    env_compose(requests->vm, &document->text);
    (void)pthread_mutex_lock(&requests->lock);
    document->next = requests->documents;
    requests->documents = document;
    (void)pthread_mutex_unlock(&requests->lock);
    return document;
}

static struct document *document_of(const struct fuse_file_info *file)
{
    return (struct document *)(uintptr_t)file->fh;
}

/* Not for NULL. */
static void free_document(struct fuse_requests *requests, struct document *document)
{
    (void)pthread_mutex_lock(&requests->lock);
    struct document **at = &requests->documents;
    while (*at != document)
        at = &(*at)->next;
    *at = document->next;
    (void)pthread_mutex_unlock(&requests->lock);
    text_free(&document->text);
    free(document);
}

static void answer_open(struct fuse_requests *requests, struct held *held)
{
    struct document *document = new_document(requests);

    held->file.fh = (uintptr_t)document;
    held->file.direct_io = 1;
    if (!document) {
        (void)fuse_reply_err(held->request, ENOMEM);
    } else if (document->text.failed) {
        free_document(requests, document);
        (void)fuse_reply_err(held->request, ENOMEM);
    } else if (fuse_reply_open(held->request, &held->file)) {
        free_document(requests, document); /* interrupted: there will be no release */
    }
}

static void answer_read(struct fuse_requests *requests, const struct held *held)
{
    const struct text *text = &document_of(&held->file)->text;
    size_t offset = (size_t)held->offset;
    size_t left = offset < text->length ? text->length - offset : 0;
    size_t size = held->size < left ? held->size : left;

    (void)pthread_mutex_lock(&requests->lock);
    if (requests->trickle && size > 1)
        size = 1;
    (void)pthread_mutex_unlock(&requests->lock);
    (void)fuse_reply_buf(held->request, size ? text->data + offset : NULL, size);
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
    pid_t pid = fuse_process_of(fuse_req_ctx(request)->pid);

    file->fh = 0;
    if (pid == getpid()) {
        open_own(request, file);
        return;
    }
    fuse_record_open(requests, name ? name : "?", pid);
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
    if (inode == INODE_ENV && file->fh)
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
    if (file->fh)
        free_document(requests_of(request), document_of(file));
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
    while (requests->documents)
        free_document(requests, requests->documents);
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
