/* A question to the process that serves a VM, which a thread of its own asks. So several
 * VMs can be asked at once, and one whose server does not answer holds up nobody, even if
 * it blocks open() or close(): the caller waits as long as it likes, and may abandon the
 * query. */
#ifndef QVM_VM_QUERY_H
#define QVM_VM_QUERY_H

#include "host/env_document.h"
#include "host/vm_server.h"
#include "host/vm_thread.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long after its deadline a query may take to end, in milliseconds. Only a server that
 * holds its client keeps it longer. */
#define VM_QUERY_GRACE_MS 200

enum vm_question_kind {
    VM_ASK_STATE, /* who serves it, and its env */
    VM_ASK_SERVER,
    VM_ASK_ENV,
    VM_ASK_THREAD,
    VM_ASK_REQUEST /* a signal */
};

struct vm_question {
    enum vm_question_kind kind;
    int64_t tid;             /* of VM_ASK_THREAD */
    enum vm_request request; /* of VM_ASK_REQUEST */
    size_t piece;            /* of VM_ASK_ENV: see env_document.h */
};

struct vm_answer {
    int found,
        read;  /* 0, or -1 and the error; `read` is of the env, `found` of all others */
    pid_t pid; /* of the process that serves it */
    struct vm_thread thread;
    struct qvm_error find_error, read_error;
    struct env_document document; /* the query's */
};

struct vm_query;

/* Asks about the env at `path`. Its server has until the deadline, a time of os_clock_ms(),
 * for all of the answer. Without a new thread, the question is asked before this returns.
 * NULL and a filled err: no memory. */
struct vm_query *vm_query_start(const char *path, const struct vm_question *question,
                                int64_t deadline, struct qvm_error *err);

/* Waits until the query is finished, at most until that time. Returns whether it is. */
bool vm_query_wait(struct vm_query *query, int64_t until);

/* The answer of a finished query: the query's, as are the strings of its errors. */
struct vm_answer *vm_query_answer(struct vm_query *query);

/* Gives up a request that may not be finished. Returns the process that got its signal; 0
 * if none did, and then none will. */
pid_t vm_query_give_up_request(struct vm_query *query);

/* Frees the query. If it is not finished, it is abandoned, and its thread frees it. */
void vm_query_free(struct vm_query *query);

#endif
