/* One thread for each query. It owns nothing but the query, which caller and thread share.
 * The caller frees a query that is finished, and joins its thread. It abandons one that is
 * not: then the thread, which nobody joins, frees it.
 *
 * A thread normally ends soon after the query's deadline. Only a server that holds its
 * client against the system's own bound (docs/qnx.md) keeps it longer. Since it may even
 * outlive the Lua state, the module is never unloaded (-z nodelete in the Makefile).
 *
 * The condition variable uses the monotonic clock, as os_clock_ms() does. */
#include "host/vm_query.h"

#include "host/vm_server.h"
#include "util/os.h"
#include "util/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOON_MS    10
#define STACK_SIZE ((size_t)256 << 10) /* the deepest function has a buffer of 4 KiB */

struct vm_query {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool finished, abandoned; /* protected by the lock */
    bool has_thread;          /* else the question was asked by the caller */
    pthread_t thread;
    int64_t deadline;
    struct vm_answer answer; /* the thread's until `finished` */
    char path[];
};

static void destroy(struct vm_query *query)
{
    env_document_free(&query->answer.document);
    pthread_cond_destroy(&query->change);
    pthread_mutex_destroy(&query->lock);
    free(query);
}

/* A server that did not say in time who it is has no time left for its env. */
static void ask(struct vm_query *query)
{
    struct vm_answer *answer = &query->answer;

    answer->found =
        vm_server_find(query->path, query->deadline, &answer->pid, &answer->find_error);
    if (answer->found != 0 && answer->find_error.code == QVM_TIMEOUT) {
        answer->read = vm_server_fail_timeout(query->path, &answer->read_error);
        return;
    }
    answer->read = env_document_read(query->path, query->deadline, &answer->document,
                                     &answer->read_error);
}

static void *run(void *argument)
{
    struct vm_query *query = argument;
    bool abandoned;

    ask(query);
    pthread_mutex_lock(&query->lock);
    query->finished = true;
    abandoned = query->abandoned;
    pthread_cond_signal(&query->change);
    pthread_mutex_unlock(&query->lock);
    if (abandoned)
        destroy(query);
    return NULL;
}

static bool start_thread(struct vm_query *query)
{
    pthread_attr_t attributes;
    bool started;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    started = thread_start(&query->thread, &attributes, run, query);
    pthread_attr_destroy(&attributes);
    return started;
}

struct vm_query *vm_query_start(const char *path, int64_t deadline, struct qvm_error *err)
{
    size_t size = strlen(path) + 1;
    struct vm_query *query = calloc(1, sizeof *query + size);
    pthread_condattr_t attributes;

    if (!query) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    memcpy(query->path, path, size);
    query->deadline = deadline;
    pthread_mutex_init(&query->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&query->change, &attributes);
    pthread_condattr_destroy(&attributes);
    query->has_thread = start_thread(query);
    if (!query->has_thread) {
        ask(query);
        query->finished = true;
    }
    return query;
}

bool vm_query_wait(struct vm_query *query, int64_t until)
{
    struct timespec time = {.tv_sec = (time_t)(until / 1000),
                            .tv_nsec = (long)(until % 1000) * 1000000};
    bool finished;
    int status = 0;

    pthread_mutex_lock(&query->lock);
    while (!query->finished && status == 0)
        status = pthread_cond_timedwait(&query->change, &query->lock, &time);
    finished = query->finished;
    pthread_mutex_unlock(&query->lock);
    return finished;
}

struct vm_answer *vm_query_answer(struct vm_query *query)
{
    return &query->answer;
}

/* A query is rarely freed while its server is about to answer. It is better to join its
 * thread then than to leave it running. */
void vm_query_free(struct vm_query *query)
{
    bool finished;

    vm_query_wait(query, os_clock_ms() + SOON_MS);
    pthread_mutex_lock(&query->lock);
    finished = query->finished;
    query->abandoned = !finished;
    if (query->abandoned)
        pthread_detach(query->thread); /* before it can free the query */
    pthread_mutex_unlock(&query->lock);
    if (!finished)
        return;
    if (query->has_thread)
        pthread_join(query->thread, NULL);
    destroy(query);
}
