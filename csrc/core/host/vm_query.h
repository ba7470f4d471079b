/* A question to a VM that a thread of its own asks: who serves it, and what its env says.
 * So several VMs can be asked at once, and one whose server does not answer, or blocks even
 * open(), holds up nobody: the caller waits as long as it likes, and may abandon the
 * query. */
#ifndef QVM_VM_QUERY_H
#define QVM_VM_QUERY_H

#include "host/env_document.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vm_answer {
    int found, read; /* 0, or -1 and the error */
    pid_t pid;       /* of the process that serves it */
    struct qvm_error find_error, read_error;
    struct env_document document; /* the query's */
};

struct vm_query;

/* Asks about the env at `path`. Its server has until the deadline, a time of os_clock_ms(),
 * for both answers. Without a new thread, the question is asked before this returns. NULL
 * and a filled err: no memory. */
struct vm_query *vm_query_start(const char *path, int64_t deadline, struct qvm_error *err);

/* Waits until the query is finished, at most until that time. Returns whether it is. */
bool vm_query_wait(struct vm_query *query, int64_t until);

/* The answer of a finished query: the query's, as are the strings of its errors. */
struct vm_answer *vm_query_answer(struct vm_query *query);

/* Frees the query. If it is not finished, it is abandoned, and its thread frees it. */
void vm_query_free(struct vm_query *query);

#endif
