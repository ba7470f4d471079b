/* A copy out of a mapping is guarded: before it, the thread stores where to jump to and
 * which addresses belong to the mapping; the handler of SIGBUS jumps there if the fault is
 * at one of these, and the copy returns false. SIGBUS is delivered to the thread that
 * faults, so a guard for each thread is all that is needed.
 *
 * A handler belongs to the whole process, and this is a library in somebody else's:
 *
 * - It is installed with the first mapping and removed with the last.
 * - Other faults are passed on to the handler that was there before, or to the default
 *   action, as if this handler did not exist.
 * - A program may install its own handler after ours and call ours from it. Then ours can
 *   no longer be removed, since the program holds a pointer to it, and it stays for good.
 *   When ours is installed once more, in front of that one, each would pass a fault to the
 *   other for ever; `depth` notices that ours was entered a second time and passes it to
 *   what was there before both (`bottom`). */
#include "dump/guarded_mmap.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The copy that this thread is doing. */
struct guard {
    sigjmp_buf escape;
    const unsigned char *from, *to;
};

static _Thread_local struct guard *volatile current;

/* How often our handler was entered in this thread and has not returned. */
static _Thread_local volatile sig_atomic_t depth;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned mappings; /* under lock, as is the installation of the handler */

/* What was installed when ours was: the last time, and the first. They differ only if ours
 * had to be left in a chain in between. */
static struct sigaction previous, bottom;
static bool left_in_chain;

/* The handler ------------------------------------------------------------------------ */

/* False for a signal that a process has sent. */
static bool is_fault(const siginfo_t *info)
{
    return info->si_code != SI_USER && info->si_code != SI_QUEUE;
}

/* Does what would have happened without us. A default action is taken by restoring it and
 * raising the signal again; so is a fault that the program ignores, since the kernel does
 * not let faults be ignored. */
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

/* Restores the signal mask of the place where the fault came. A jump out of our handler
 * leaves the mask alone, which is right as long as it was entered directly (SA_NODEFER); a
 * handler in front of ours may have more signals blocked. */
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

static void install_handler(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER; /* see restore_mask */
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, NULL, &previous);
    if (!left_in_chain)
        bottom = previous;
    sigaction(SIGBUS, &action, NULL);
}

/* A handler that was put in the place of ours may call it: then ours has to stay. */
static void remove_handler(void)
{
    struct sigaction now;

    if (sigaction(SIGBUS, NULL, &now) == 0 && is_ours(&now))
        sigaction(SIGBUS, &previous, NULL);
    else
        left_in_chain = true;
}

/* Mappings --------------------------------------------------------------------------- */

static void count_opened(void)
{
    pthread_mutex_lock(&lock);
    if (mappings++ == 0)
        install_handler();
    pthread_mutex_unlock(&lock);
}

static void count_closed(void)
{
    pthread_mutex_lock(&lock);
    if (--mappings == 0)
        remove_handler();
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
    count_opened();
    return true;
}

void guarded_mmap_close(struct guarded_mmap *map)
{
    if (!map->base)
        return;
    munmap((void *)(uintptr_t)map->base, (size_t)map->size);
    map->base = NULL;
    count_closed();
}

/* Copies, and touches the file's last byte afterwards: that faults when the file was cut
 * anywhere below its last page, so that the zeros after the new end cannot pass for data.
 * No system call is needed for it.
 *
 *     file at opening    [ page ][ page ][ page ][ last ]
 *     cut here           ........^                          the last page faults
 *     cut here           ...........................^       no fault, zeros: see the caller
 *
 * The page that the file now ends in does not fault, and reads as zeros after the end. So
 * the copied bytes themselves show nothing; the last page does. */
static bool guarded_copy(const struct guarded_mmap *map, void *to, uint64_t offset,
                         size_t n)
{
    struct guard guard = {.from = map->base, .to = map->base + map->size};
    const volatile unsigned char *last = map->base + map->size - 1;
    volatile unsigned char seen; /* kept, so that no compiler drops the load */

    if (sigsetjmp(guard.escape, 0) != 0) {
        current = NULL;
        return false;
    }
    depth = 0; /* a handler that has jumped away left it as it was */
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
    /* A file that was cut within its last page does not fault: only its size shows it. */
    if (offset + n > map->last_page)
        return fstat(map->fd, &status) == 0 && (uint64_t)status.st_size >= offset + n;
    return true;
}
