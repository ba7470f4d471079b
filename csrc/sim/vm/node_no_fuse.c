/*
 * In place of node_fuse.c where libfuse3 is missing: serves nothing.
 */
#include "vm/node_fuse.h"

#include <errno.h>
#include <stddef.h>

const char *node_fuse_lacks(void)
{
    return "this simulator was built without libfuse3 (Debian: libfuse3-dev)";
}

struct node_fuse *node_fuse_start(const struct vm *vm, const char *path)
{
    (void)vm;
    (void)path;
    errno = ENOTSUP;
    return NULL;
}

void node_fuse_stop(struct node_fuse *served)
{
    (void)served;
}

void node_fuse_hang(struct node_fuse *served, enum node_hang where)
{
    (void)served;
    (void)where;
}

void node_fuse_trickle(struct node_fuse *served)
{
    (void)served;
}

void node_fuse_resume(struct node_fuse *served)
{
    (void)served;
}

void node_fuse_opens(struct node_fuse *served, struct text *out)
{
    (void)served;
    (void)out;
}

int node_fuse_detach(const char *path)
{
    (void)path;
    errno = ENOTCONN;
    return -1;
}
