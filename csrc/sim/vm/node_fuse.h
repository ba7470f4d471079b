/*
 * The VM's directory, served by this process in place of files (`set sim-env fuse`). On
 * Linux it comes closest to a QNX resource manager: env has size 0, its contents are
 * composed at each open, and a reader waits until this process answers.
 *
 * node_fuse.c implements it with libfuse3. node_no_fuse.c is built where libfuse3 is
 * missing.
 */
#ifndef SIM_NODE_FUSE_H
#define SIM_NODE_FUSE_H

#include "util/text.h"
#include "vm/vm.h"

#include <stdbool.h>

struct node_fuse;

/* Where readers of env wait, until node_fuse_resume(). */
enum node_hang { NODE_HANGS_NOWHERE, NODE_HANGS_OPEN, NODE_HANGS_READ, NODE_HANGS_CLOSE };

/* Why this simulator cannot serve a directory; NULL if it can. */
const char *node_fuse_lacks(void);

/* Serves the directory `path` from a thread of its own, and locks env as envfile_write()
   does. The VM must outlive it: env_compose() is called in that thread. Returns NULL, with
   errno set, if it cannot. */
struct node_fuse *node_fuse_start(const struct vm *vm, const char *path);

/* Unmounts the directory. Readers that wait get ECONNABORTED. */
void node_fuse_stop(struct node_fuse *served);

/* Lets later requests wait. Those of this process do not. */
void node_fuse_hang(struct node_fuse *served, enum node_hang where);

/* Each read() gets one byte. */
void node_fuse_trickle(struct node_fuse *served);

/* Undoes both, and answers the requests that wait. */
void node_fuse_resume(struct node_fuse *served);

/* Adds a line "open NODE PID COMMAND" for each time that another process opened a node
   since the last call. */
void node_fuse_opens(struct node_fuse *served, struct text *out);

/* Unmounts `path` if the simulator that served it was killed. Returns 0, or -1 with errno
   set. */
int node_fuse_detach(const char *path);

#endif
