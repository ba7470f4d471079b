/* malloc() and its relatives, which count the blocks in use and fail according to the
 * plan, and an allocator for Lua states that fails according to the plan.
 *
 * The executable's malloc() replaces the C library's for all code in the process, and
 * calls the original through dlsym(). dlsym() may itself allocate before the address is
 * known: such requests are served from a static buffer, whose blocks are never freed. */
#include "fault_injection.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef void *allocator(size_t size);
typedef void *reallocator(void *block, size_t size);
typedef void *clearing(size_t count, size_t size);
typedef void releaser(void *block);

static allocator *next_malloc;
static reallocator *next_realloc;
static clearing *next_calloc;
static releaser *next_free;

static _Alignas(16) char early[65536];
static size_t early_used;
static atomic_bool resolving;
static atomic_long live_blocks;

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static void *take_early(size_t size)
{
    void *block = early + early_used;

    early_used += (size + 15) / 16 * 16;
    if (early_used > sizeof early)
        abort();
    return block;
}

/* Looks up the C library's functions. False during the lookup. */
static bool resolve(void)
{
    if (next_free)
        return true;
    if (atomic_exchange(&resolving, true))
        return false;
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    return true;
}

static void *fail(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *counted(void *block)
{
    if (block)
        live_blocks++;
    return block;
}

void *malloc(size_t size)
{
    if (!resolve())
        return take_early(size);
    return plan_takes("c") ? fail() : counted(next_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    if (!resolve()) /* the early buffer is zero */
        return take_early(count * size);
    return plan_takes("c") ? fail() : counted(next_calloc(count, size));
}

void *realloc(void *block, size_t size)
{
    void *moved;

    if (is_early(block)) {
        moved = malloc(size);
        if (moved)
            memcpy(moved, block, size);
        return moved;
    }
    if (!resolve())
        return take_early(size);
    if (plan_takes("c"))
        return fail();
    moved = next_realloc(block, size);
    return block ? moved : counted(moved);
}

void free(void *block)
{
    if (!block || is_early(block))
        return;
    live_blocks--;
    next_free(block);
}

char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

long faults_live(void)
{
    return live_blocks;
}

/* Shrinking a block must not fail. After a failure Lua collects all garbage and tries
 * again; that attempt fails as well, or the failure would have no effect. */
void *faults_lua(void *unused, void *block, size_t before, size_t size)
{
    static atomic_bool retry_fails;

    (void)unused;
    resolve();
    if (size == 0) {
        next_free(block);
        return NULL;
    }
    if (!block || size > before) {
        bool failing = plan_takes("lua");

        if (atomic_exchange(&retry_fails, failing && !plan.all && !retry_fails) || failing)
            return NULL;
    }
    return next_realloc(block, size);
}
