/* One thread for each query. It owns nothing but the query, which caller and thread share.
 * The caller frees a query that is finished, and joins its thread. It abandons one that is
 * not: then the thread, which nobody joins, frees it.
 *
 * A thread normally ends soon after the query's deadline. Only a server that holds its
 * client keeps it longer: on QNX against the system's own bound (docs/qnx.md), on Linux
 * because O_NONBLOCK does not apply to files that a process serves with FUSE. Such threads,
 * each with a descriptor, must not add up while a program polls a VM that is stuck. So the
 * queries that ask are in a list, and a later one about the same env waits for those that
 * were given up before it asks. A program that makes one query after the other has at most
 * one thread for each VM that is beyond its deadline.
 *
 * Since a thread may even outlive the Lua state, the module is never unloaded (-z nodelete
 * in the Makefile).
 *
 * The condition variables use the monotonic clock, as os_clock_ms() does. */
#include "host/vm_query.h"

#include "util/os.h"
#include "util/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SOON_MS    10
#define STACK_SIZE ((size_t)256 << 10) /* the deepest function has a buffer of 4 KiB */

struct vm_query {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool finished, abandoned; /* protected by the lock */
    bool has_thread;          /* else the question was asked by the caller */
    pthread_t thread;
    struct vm_query *next; /* in the list of those that ask */
    bool given_up;         /* the caller no longer waits: see asking.lock */
    pid_t process;         /* that has the thread */
    int64_t deadline;
    struct vm_question question;
    struct vm_gate gate;
    struct vm_answer answer; /* the thread's until `finished` */
    char path[];
};

/* Waiting ----------------------------------------------------------------------------- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Returns 0, or an errno value if the time has come. */
static int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until)
{
    struct timespec time = {.tv_sec = (time_t)(until / 1000),
                            .tv_nsec = (long)(until % 1000) * 1000000};

    return pthread_cond_timedwait(condition, lock, &time);
}

/* The queries that ask ---------------------------------------------------------------- */

static struct {
    pthread_once_t once;
    pthread_mutex_t lock; /* protects the list, and given_up of all queries; a query's own
                             lock may be held when it is taken */
    pthread_cond_t change;
    struct vm_query *first;
} asking = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

/* A forked child has none of the threads that ask. */
static void before_fork(void)
{
    pthread_mutex_lock(&asking.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&asking.lock);
}

static void after_fork_in_child(void)
{
    asking.first = NULL;
    pthread_mutex_unlock(&asking.lock);
}

static void init_asking(void)
{
    init_condition(&asking.change);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* Does a query about this env ask whose caller no longer waits? */
static bool is_blocked(const char *path)
{
    const struct vm_query *query = asking.first;

    while (query && !(query->given_up && strcmp(query->path, path) == 0))
        query = query->next;
    return query != NULL;
}

/* Waits until the env's server holds no such query, and enters the list. False: not before
 * the deadline, or nobody waits for this query any more. */
static bool begin_asking(struct vm_query *query)
{
    bool good;
    int status = 0;

    pthread_mutex_lock(&asking.lock);
    while (!query->given_up && is_blocked(query->path) && status == 0)
        status = wait_until(&asking.change, &asking.lock, query->deadline);
    good = !query->given_up && !is_blocked(query->path);
    if (good) {
        query->next = asking.first;
        asking.first = query;
    }
    pthread_mutex_unlock(&asking.lock);
    return good;
}

static void end_asking(const struct vm_query *query)
{
    struct vm_query **at = &asking.first;

    pthread_mutex_lock(&asking.lock);
    while (*at != query)
        at = &(*at)->next;
    *at = query->next;
    pthread_cond_broadcast(&asking.change);
    pthread_mutex_unlock(&asking.lock);
}

/* Of a query that has not asked yet, the wait ends. */
static void give_up(struct vm_query *query)
{
    pthread_mutex_lock(&asking.lock);
    query->given_up = true;
    pthread_cond_broadcast(&asking.change);
    pthread_mutex_unlock(&asking.lock);
}

/* Asking ------------------------------------------------------------------------------ */

static void ask_env(struct vm_query *query)
{
    struct vm_answer *answer = &query->answer;

    answer->document.piece = query->question.piece;
    answer->read = env_document_read(query->path, query->deadline, &answer->document,
                                     &answer->read_error);
}

/* Asks all but for the env. */
static int ask_server(struct vm_query *query)
{
    const struct vm_question *question = &query->question;
    struct vm_answer *answer = &query->answer;
    struct qvm_error *err = &answer->find_error;

    if (question->kind == VM_ASK_THREAD)
        return vm_thread_read(query->path, question->tid, query->deadline, &answer->thread,
                              err);
    if (question->kind == VM_ASK_REQUEST)
        return vm_server_request(query->path, question->request, query->deadline,
                                 &query->gate, err);
    return vm_server_find(query->path, query->deadline, &answer->pid, err);
}

static void fail_timeout(struct vm_query *query)
{
    struct vm_answer *answer = &query->answer;

    answer->found = vm_server_fail_timeout(query->path, &answer->find_error);
    answer->read = vm_server_fail_timeout(query->path, &answer->read_error);
}

/* A server that did not say in time who it is has no time left for its env. */
static void ask(struct vm_query *query)
{
    struct vm_answer *answer = &query->answer;

    if (!begin_asking(query)) {
        fail_timeout(query);
        return;
    }
    if (query->question.kind != VM_ASK_ENV)
        answer->found = ask_server(query);
    if (answer->found != 0 && answer->find_error.code == QVM_TIMEOUT)
        fail_timeout(query);
    else if (query->question.kind == VM_ASK_STATE || query->question.kind == VM_ASK_ENV)
        ask_env(query);
    end_asking(query);
}

/* A query and its thread -------------------------------------------------------------- */

static void destroy(struct vm_query *query)
{
    env_document_free(&query->answer.document);
    pthread_cond_destroy(&query->change);
    pthread_mutex_destroy(&query->lock);
    pthread_mutex_destroy(&query->gate.lock);
    free(query);
}

static void *run(void *argument)
{
    struct vm_query *query = argument;
    bool is_abandoned;

    ask(query);
    pthread_mutex_lock(&query->lock);
    query->finished = true;
    is_abandoned = query->abandoned;
    pthread_cond_signal(&query->change);
    pthread_mutex_unlock(&query->lock);
    if (is_abandoned)
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

struct vm_query *vm_query_start(const char *path, const struct vm_question *question,
                                int64_t deadline, struct qvm_error *err)
{
    size_t size = strlen(path) + 1;
    struct vm_query *query = calloc(1, sizeof *query + size);

    if (!query) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    pthread_once(&asking.once, init_asking);
    memcpy(query->path, path, size);
    query->question = *question;
    query->deadline = deadline;
    query->process = getpid();
    pthread_mutex_init(&query->lock, NULL);
    pthread_mutex_init(&query->gate.lock, NULL);
    init_condition(&query->change);
    query->has_thread = start_thread(query);
    if (!query->has_thread) {
        ask(query);
        query->finished = true;
    }
    return query;
}

bool vm_query_wait(struct vm_query *query, int64_t until)
{
    bool finished;
    int status = 0;

    if (query->process != getpid())
        return false;
    pthread_mutex_lock(&query->lock);
    while (!query->finished && status == 0)
        status = wait_until(&query->change, &query->lock, until);
    finished = query->finished;
    pthread_mutex_unlock(&query->lock);
    return finished;
}

struct vm_answer *vm_query_answer(struct vm_query *query)
{
    return &query->answer;
}

pid_t vm_query_give_up_request(struct vm_query *query)
{
    pid_t sent_to;

    pthread_mutex_lock(&query->gate.lock);
    query->gate.closed = true;
    sent_to = query->gate.sent_to;
    pthread_mutex_unlock(&query->gate.lock);
    return sent_to;
}

/* A query is rarely freed while its server is about to answer. It is better to join its
 * thread then than to leave it running. A query that a forked child inherits has no thread
 * there, and maybe a lock that nobody releases: its memory is left alone. */
void vm_query_free(struct vm_query *query)
{
    bool finished;

    if (query->process != getpid())
        return;
    vm_query_wait(query, os_clock_ms() + SOON_MS);
    pthread_mutex_lock(&query->lock);
    finished = query->finished;
    query->abandoned = !finished;
    if (query->abandoned) {
        pthread_detach(query->thread); /* before it can free the query */
        give_up(query);
    }
    pthread_mutex_unlock(&query->lock);
    if (!finished)
        return;
    if (query->has_thread)
        pthread_join(query->thread, NULL);
    destroy(query);
}
