/*
 * The VM's directory ROOT/SYSTEM: env, and an empty file for each named vdev.
 *
 * This process holds a record lock on the whole of env, through which readers find it with
 * F_GETLK. Closing any descriptor of a locked file would end the lock: env is opened once,
 * and a new text comes as a new file, locked before it takes the name. A lock with flock()
 * on the directory keeps simulators that start or end at the same time apart.
 */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "conf/conf.h"
#include "text.h"

#include <stddef.h>

struct node {
    const struct conf *conf; /* borrowed */
    char *path;              /* of the directory */
    int directory;           /* descriptors; -1: none */
    int env;
    size_t vdev_files; /* how many of conf->vdevs were looked at when creating files */
};

/* Creates the directory `root` unless it exists; its parent must. Returns 0, or -1 with a
   message on stderr. */
int node_root(const char *root);

/* Prepares `node`, creating nothing. Returns 0, or -1: out of memory. */
int node_init(struct node *node, const struct conf *conf, const char *root);

/* Makes directory and files appear, env, with the text given, as the last. Takes over a
   directory that a killed simulator left. Returns 0, or -1 with a message on stderr:
   nothing has changed then. */
int node_create(struct node *node, const struct text *env);

/* Replaces env by a file with another text, or by a FIFO that nobody ever writes to.
   Returns 0, or -1 with errno set: env is as before then. */
int node_replace(struct node *node, const struct text *env);
int node_block(struct node *node);

/* Removes env, the other files, and the directory, where they still are this process's own.
 */
void node_remove(struct node *node);

/* Releases the memory, after node_remove(). */
void node_free(struct node *node);

#endif
