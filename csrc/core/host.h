/* What the operating system must give, in files of its own: host_linux.c, files_linux.c and
 * watch_linux.c, host_qnx.c; host_posix.c is for all.
 *
 * All of these fail with -1 and a filled err. Deadlines are times of clock_ms(). */
#ifndef QVM_HOST_H
#define QVM_HOST_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The only two things that a VM's process can be asked for. There is no way to name a
 * signal by its number: whatever else could be sent ends the guest (QNX Hypervisor User's
 * Guide). */
enum host_request {
    HOST_REQUEST_STATUS, /* SIGUSR1: status text to the log */
    HOST_REQUEST_DUMP    /* SIGUSR2: a guest dump */
};

/* Milliseconds of a clock that only goes forward. */
int64_t clock_ms(void);

/* Waits; returns early when a signal arrives, so that a script stays interruptible. */
void clock_sleep(int64_t milliseconds);

/* Processors that can run threads now; 1 where that cannot be told. */
unsigned host_processors(void);

/* Up to which offset of a file (exclusive, `size` at most) it goes on as it is at this one:
 * as a hole, or as data. Where the system knows no holes, all is data. */
uint64_t host_same(int fd, uint64_t offset, uint64_t size, bool *hole);

/* Opens a directory only to reach what is in it: a descriptor, closed on exec, or -1 and
 * errno. */
int host_open_directory(const char *path);

/* Gives an open file the access list of the file at a path, or none if that has none. 0, or
 * -1 and errno. Where the system's lists are not known, files are left as they are. */
int host_keep_acl(const char *path, int fd);

/* Opens a VM's env for reading; returns a descriptor, close-on-exec. */
int host_open(const char *path, int64_t deadline, struct qvm_error *err);

/* Reads at most size bytes; 0 is the end of the file. */
ssize_t host_read(int fd, const char *path, void *buffer, size_t size, int64_t deadline,
                  struct qvm_error *err);

/* The process that serves this env now and is a qvm. Codes: gone (nobody serves it),
 * not_qvm, permission (this process may not look at that one), and those of host_open. */
int host_server(const char *path, int64_t deadline, pid_t *pid, struct qvm_error *err);

/* Sends the request's signal to the process that serves this env, if it is certain that it
 * does, is a qvm, and (where the system can tell) catches that signal: the default action
 * of both signals is to end the process. Codes as host_server. */
int host_request(const char *path, enum host_request what, int64_t deadline,
                 struct qvm_error *err);

/* Watches a directory for files that are completed. */
struct host_watch;

/* Ownership: the caller's, until host_watch_close. NULL on failure. */
struct host_watch *host_watch_open(const char *directory, struct qvm_error *err);
void host_watch_close(struct host_watch *watch);

/* True if the watch reports when a writer closes its file. Where it does not, a reader must
 * judge from the file itself whether it is complete. */
bool host_watch_sees_close(const struct host_watch *watch);

/* Waits up to timeout_ms, or until a signal arrives, for something to happen in the
 * directory. Returns 1 and the name of a file that its writer has closed, 2 if something
 * else happened or may have (look at the directory), with the name of a file that is new,
 * or NULL, 0 if nothing did. The name is valid until the next call. */
int host_watch_wait(struct host_watch *watch, int64_t timeout_ms, const char **name);

#endif
