/* malloc and what belongs to it, counted, and Lua's allocator. */
#include "starve.h"

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

/* dlsym may allocate before it can be asked for malloc. */
static _Alignas(16) char early[65536];
static size_t early_used;
static atomic_bool looking;
static atomic_long live;

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

static bool look(void)
{
    if (next_free)
        return true;
    if (atomic_exchange(&looking, true))
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
        live++;
    return block;
}

void *malloc(size_t size)
{
    if (!look())
        return take_early(size);
    return plan_takes("c") ? fail() : counted(next_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    if (!look()) /* it is zeros */
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
    if (!look())
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
    live--;
    next_free(block);
}

char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

long starve_live(void)
{
    return live;
}

/* A smaller block may not fail, and a failure is followed by a full collection and one more
 * try, which fails as well. */
void *starve_lua(void *unused, void *block, size_t before, size_t size)
{
    static atomic_bool again;

    (void)unused;
    look();
    if (size == 0) {
        next_free(block);
        return NULL;
    }
    if (!block || size > before) {
        bool failing = plan_takes("lua");

        if (atomic_exchange(&again, failing && !plan.all && !again) || failing)
            return NULL;
    }
    return next_realloc(block, size);
}
