/*
 * The requests of the kernel to a directory that node_fuse.c serves, and the record of who
 * opened what. Only files that are built with libfuse3 include it.
 */
#ifndef SIM_FUSE_REQUESTS_H
#define SIM_FUSE_REQUESTS_H

#define FUSE_USE_VERSION 31

#include "util/text.h"
#include "vm/node_fuse.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct held;
struct document;

struct fuse_requests {
    const struct vm *vm;  /* borrowed */
    pthread_mutex_t lock; /* protects what follows */
    bool published;       /* other processes see env */
    enum node_hang hang;
    bool trickle;
    struct document *documents; /* one for each open of env */
    struct held *held;          /* requests that wait */
    struct text opens;          /* what node_fuse_opens() adds */
    unsigned long unrecorded;
};

/* The process of a thread; 0: it has ended. */
pid_t fuse_process_of(pid_t tid);

/* Records that the process opened the node, for node_fuse_opens(). */
void fuse_record_open(struct fuse_requests *requests, const char *node, pid_t pid);

/* The handlers. Their user data is a struct fuse_requests. */
extern const struct fuse_lowlevel_ops fuse_requests_ops;

void fuse_requests_init(struct fuse_requests *requests, const struct vm *vm);

/* Frees everything but `requests`. No request may wait. */
void fuse_requests_free(struct fuse_requests *requests);

/* Takes all requests that wait. */
struct held *fuse_requests_take(struct fuse_requests *requests);

/* Each answers requests that were taken: with what they asked for, or with an errno value.
 */
void fuse_requests_answer(struct fuse_requests *requests, struct held *held);
void fuse_requests_fail(struct held *held, int error);

#endif
