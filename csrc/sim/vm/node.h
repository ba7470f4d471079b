/*
 * The VM's directory ROOT/SYSTEM: env, and an empty file for each named vdev.
 *
 * This process holds a record lock on env; readers find the process by F_GETLK. Closing any
 * descriptor of a file releases its locks: env is opened once, and a new text is a new
 * file, which is locked before it gets the name. A flock() on the directory serialises
 * simulators that start or end at the same time.
 *
 * With `set sim-env fuse` the directory is a mount point, and node_fuse.h serves what is in
 * it.
 */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "conf/conf.h"
#include "util/text.h"
#include "vm/node_fuse.h"

#include <stddef.h>

struct node {
    const struct vm *vm; /* borrowed, as is conf */
    const struct conf *conf;
    struct node_fuse *served; /* NULL: env and the others are files */
    char *path;               /* of the directory */
    int directory;            /* descriptors; -1: none */
    int env;
    size_t vdev_files; /* the first so many of conf->vdevs have their files */
};

/* Creates the directory `root` unless it exists; its parent must. Returns 0, or -1 with a
   message on stderr. */
int node_root(const char *root);

/* Prepares `node` without creating anything. Returns 0, or -1: out of memory. */
int node_init(struct node *node, const struct vm *vm, const char *root);

/* Creates the directory and its files; env, with the given text, comes last. Takes over a
   directory that a killed simulator left. Returns 0, or -1 with a message on stderr:
   nothing has changed then. */
int node_create(struct node *node, const struct text *env);

/* Replaces env by a file with another text, or by a FIFO that nobody writes to. Returns 0,
   or -1 with errno set: env is unchanged then. An env that is served has the state of the
   VM anyway; its readers wait at the given point (files: ENOTSUP, unless it is
   NODE_HANGS_READ). */
int node_replace(struct node *node, const struct text *env);
int node_block(struct node *node, enum node_hang where);

/* Undoes node_block() and node_fuse_trickle() if env is served; for a file, node_replace()
   does. */
void node_unblock(struct node *node);

/* Removes env, the other files and the directory, unless they belong to another process by
   now. */
void node_remove(struct node *node);

/* Releases the memory, after node_remove(). */
void node_free(struct node *node);

#endif
