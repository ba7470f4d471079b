/* Watches a directory for files that their writers have closed. One file for each system:
 * dir_watch_linux.c, dir_watch_qnx.c. */
#ifndef QVM_DIR_WATCH_H
#define QVM_DIR_WATCH_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

struct dir_watch;

/* Ownership: the caller's, until dir_watch_close. NULL on failure. */
struct dir_watch *dir_watch_open(const char *directory, struct qvm_error *err);
void dir_watch_close(struct dir_watch *watch);

/* True if the watch reports when a writer closes its file. Where it does not, a reader must
 * judge from the file itself whether it is complete. */
bool dir_watch_sees_close(const struct dir_watch *watch);

/* Waits up to timeout_ms, or until a signal arrives, for something to happen in the
 * directory. Returns 1 and the name of a file that its writer has closed, 2 if something
 * else happened or may have (look at the directory), with the name of a file that is new,
 * or NULL, 0 if nothing did. The name is valid until the next call. */
int dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms, const char **name);

#endif
