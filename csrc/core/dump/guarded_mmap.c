#include "dump/guarded_mmap.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The copy that this thread is in. */
struct guard {
    sigjmp_buf escape;
    const unsigned char *from, *to;
};

static _Thread_local struct guard *volatile current;

/* Depth of the handlers in this thread: a handler that was installed after ours may call
 * ours. */
static _Thread_local volatile sig_atomic_t depth;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned mappings; /* under lock, as is the installation of the handler */

/* `previous` is whose place ours has taken. Where that one calls ours in turn, because ours
 * had to be left in its chain before, `bottom` is what stood there before any of them. */
static struct sigaction previous, bottom;
static bool left_in_chain;

static bool is_fault(const siginfo_t *info)
{
    return info->si_code != SI_USER && info->si_code != SI_QUEUE;
}

static void pass_on(const struct sigaction *to, int number, siginfo_t *info, void *context)
{
    if (to->sa_flags & SA_SIGINFO) {
        to->sa_sigaction(number, info, context);
    } else if (to->sa_handler == SIG_IGN && !is_fault(info)) {
        return;
    } else if (to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN) {
        to->sa_handler(number);
    } else {
        sigaction(number, to, NULL);
        raise(number);
    }
}

static bool is_ours(const struct sigaction *action);

/* A handler in front of ours that has called it may have more signals blocked than ours,
 * and is left by a jump: the mask has to be again what it was where the fault came. */
static void restore_mask(const ucontext_t *interrupted)
{
    struct sigaction now;
    sigset_t mask;

    sigaction(SIGBUS, NULL, &now);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (interrupted && (!is_ours(&now) || sigismember(&mask, SIGBUS)))
        pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    struct guard *guard = current;
    const unsigned char *at = info->si_addr;

    if (guard && is_fault(info) && at >= guard->from && at < guard->to) {
        restore_mask(context);
        siglongjmp(guard->escape, 1);
    }
    depth++;
    pass_on(depth > 1 ? &bottom : &previous, number, info, context);
    depth--;
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_bus_error;
}

static void install(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    /* SA_NODEFER: the jump out of the handler leaves the signal mask as it was. */
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, NULL, &previous);
    if (!left_in_chain)
        bottom = previous;
    sigaction(SIGBUS, &action, NULL);
}

/* A handler that somebody put in our place may call ours: then ours has to stay. */
static void uninstall(void)
{
    struct sigaction now;

    if (sigaction(SIGBUS, NULL, &now) == 0 && is_ours(&now))
        sigaction(SIGBUS, &previous, NULL);
    else
        left_in_chain = true;
}

static void count(bool one_more)
{
    pthread_mutex_lock(&lock);
    if (one_more && mappings++ == 0)
        install();
    if (!one_more && --mappings == 0)
        uninstall();
    pthread_mutex_unlock(&lock);
}

bool guarded_mmap_open(struct guarded_mmap *map, int fd, uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    void *base;

    *map = (struct guarded_mmap){.fd = fd, .size = size};
    if (size == 0 || size > SIZE_MAX / 2)
        return false;
    base = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return false;
    map->base = base;
    map->last_page = (size - 1) / page * page;
    count(true);
    return true;
}

void guarded_mmap_close(struct guarded_mmap *map)
{
    if (!map->base)
        return;
    munmap((void *)(uintptr_t)map->base, (size_t)map->size);
    map->base = NULL;
    count(false);
}

/* Touching the file's last byte faults when the file was cut anywhere below its last page,
 * so that zeros behind the new end cannot pass for data. */
static bool guarded_copy(const struct guarded_mmap *map, void *to, uint64_t offset,
                         size_t n)
{
    struct guard guard = {.from = map->base, .to = map->base + map->size};
    const volatile unsigned char *last = map->base + map->size - 1;
    volatile unsigned char seen; /* kept, so that no translator drops the load */

    if (sigsetjmp(guard.escape, 0) != 0) {
        current = NULL;
        return false;
    }
    depth = 0; /* a handler that jumped away has left it */
    current = &guard;
    memcpy(to, map->base + offset, n);
    seen = *last;
    (void)seen;
    current = NULL;
    return true;
}

bool guarded_mmap_copy(const struct guarded_mmap *map, void *to, uint64_t offset, size_t n)
{
    struct stat status;

    if (!guarded_copy(map, to, offset, n))
        return false;
    /* Cut within the last page: only the size can tell. */
    if (offset + n > map->last_page)
        return fstat(map->fd, &status) == 0 && (uint64_t)status.st_size >= offset + n;
    return true;
}
