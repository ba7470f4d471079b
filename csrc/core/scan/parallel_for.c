/* Threads are started for each loop and joined at its end: nothing of them is left between
 * the steps of a scan, so a script may fork, or replace signal handlers, at any time. Each
 * thread, the caller's among them, takes the next part until none is left. */
#include "scan/parallel_for.h"

#include "util/thread.h"

#include <pthread.h>
#include <stdbool.h>

struct parallel_loop {
    pthread_mutex_t lock;
    size_t next, parts;
    void (*run)(void *context, size_t part, unsigned worker);
    void *context;
};

struct worker {
    struct parallel_loop *team;
    unsigned number;
};

/* The only thing that the workers share: which part is next. A part is large (a unit of a
 * scan, 1 MiB), so the lock is taken rarely. */
static bool take(struct parallel_loop *team, size_t *part)
{
    bool more;

    pthread_mutex_lock(&team->lock);
    more = team->next < team->parts;
    if (more)
        *part = team->next++;
    pthread_mutex_unlock(&team->lock);
    return more;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    size_t part;

    while (take(worker->team, &part))
        worker->team->run(worker->team->context, part, worker->number);
    return NULL;
}

/* A thread that cannot be started is no failure: those that run, at least the caller's,
 * take all parts. The array of members outlives the threads, since they are joined here. */
void parallel_for(unsigned workers, size_t parts,
                  void (*run)(void *context, size_t part, unsigned worker), void *context)
{
    struct parallel_loop team = {.parts = parts, .run = run, .context = context};
    struct worker members[PARALLEL_MAX];
    pthread_t threads[PARALLEL_MAX];
    unsigned started = 1;

    pthread_mutex_init(&team.lock, NULL);
    for (unsigned i = 0; i < PARALLEL_MAX; i++)
        members[i] = (struct worker){&team, i};
    while (started < workers && started < PARALLEL_MAX &&
           thread_start(&threads[started], NULL, work, &members[started]))
        started++;
    work(&members[0]);
    while (--started > 0)
        pthread_join(threads[started], NULL);
    pthread_mutex_destroy(&team.lock);
}
