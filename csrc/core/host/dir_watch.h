/* Watches a directory for new files and for files that their writers have closed. One file
 * for each system implements this: dir_watch_linux.c, dir_watch_qnx.c. */
#ifndef QVM_DIR_WATCH_H
#define QVM_DIR_WATCH_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

struct dir_watch;

enum dir_watch_event {
    DIR_WATCH_NOTHING, /* the time is over, or a signal arrived */
    DIR_WATCH_CLOSED,  /* a writer has closed a file, or a file was moved here */
    DIR_WATCH_CHANGED  /* anything else has happened, or may have: look at the directory */
};

/* Returns a watch that the caller owns, to be closed with dir_watch_close(); NULL on
 * failure. */
struct dir_watch *dir_watch_open(const char *directory, struct qvm_error *err);
void dir_watch_close(struct dir_watch *watch);

/* True if the watch has reported every file that was closed. If not, a reader must judge
 * from the file itself whether it is complete. */
bool dir_watch_sees_close(const struct dir_watch *watch);

/* Waits up to timeout_ms for an event. *name is the name of the file that was closed or
 * created, NULL if it is not known, and is valid until the next call. */
enum dir_watch_event dir_watch_wait(struct dir_watch *watch, int64_t timeout_ms,
                                    const char **name);

#endif
