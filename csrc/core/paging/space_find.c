#include "paging/space_find.h"

#include "dump/extent.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    BUFFER = 64 << 10,
    STEP = 16 << 20,
    FOUND_MAX = 16384,
    /* The bound on bytes: the dump's memory so many times, and so much besides for small
     * dumps. */
    TIMES = 4,
    BYTES_BESIDES = 256 << 20,
    LOOK_MIN =
        512 /* what a look costs at least, in bytes, where there is nothing to read */
};

int seeker_start(struct space_find *seeker, struct space *space,
                 const struct pattern *pattern, uint64_t first, uint64_t last,
                 uint64_t align, struct qvm_error *err)
{
    *seeker = (struct space_find){.space = space, .last = last, .align = align};
    seeker->left = extent_total(space->dump, 0, UINT64_MAX);
    seeker->left = smaller_u64(seeker->left, UINT64_MAX / TIMES - BYTES_BESIDES) * TIMES +
                   BYTES_BESIDES;
    if (mappings_init(&seeker->mappings, space, first, last, err) != 0)
        return -1;
    seeker->matcher = matcher_new(pattern, 1, err);
    seeker->buffer = malloc(BUFFER);
    if (seeker->buffer && seeker->matcher)
        return 0;
    if (!seeker->buffer)
        qvm_fail_memory(err, space->dump->file.path);
    seeker_free(seeker);
    return -1;
}

void seeker_free(struct space_find *seeker)
{
    mappings_free(&seeker->mappings);
    free(seeker->buffer);
    seeker->buffer = NULL;
    if (seeker->matcher)
        matcher_free(seeker->matcher);
    seeker->matcher = NULL;
    results_free(&seeker->results);
}

/* Goes to the next range, where one does not go on. 1, or 0 at the end, or -1. */
static int enter(struct space_find *seeker, struct qvm_error *err)
{
    uint64_t before = seeker->range.last;
    bool first = seeker->range.perms == 0;
    int found;

    if (seeker->in_range)
        return 1;
    found = mappings_next(&seeker->mappings, &seeker->range, err);
    if (found <= 0)
        return found;
    if (first || seeker->range.first != before + 1)
        seeker->state = 0;
    seeker->next = seeker->range.first;
    seeker->in_range = true;
    return 1;
}

static void pass(struct space_find *seeker, uint64_t n)
{
    seeker->in_range = seeker->range.last - seeker->next >= n;
    seeker->next += n;
}

/* Passes what is not in the dump. */
static int pass_missing(struct space_find *seeker, uint64_t n, uint64_t *done)
{
    seeker->state = 0;
    pass(seeker, n);
    *done = n;
    return 0;
}

static int fail_budget(const struct space_find *seeker, struct qvm_error *err)
{
    return qvm_fail(
        err, QVM_TOO_LARGE,
        "%s: too_large: the page tables map far more than the memory of the dump, as "
        "tables that lead back to themselves do; searched from 0x%016" PRIx64
        " up to 0x%016" PRIx64,
        seeker->space->dump->file.path, seeker->mappings.first, seeker->next);
}

/* Takes what a look has cost off what is left. */
static void charge(struct space_find *seeker, uint64_t bytes)
{
    seeker->left -= smaller_u64(seeker->left, bytes > LOOK_MIN ? bytes : LOOK_MIN);
}

/* Looks through some of a page of the range. *done: bytes that were passed. */
static int look(struct space_find *seeker, uint64_t *done, struct qvm_error *err)
{
    const struct dump *dump = seeker->space->dump;
    uint64_t physical, n, reach;
    matcher_state before = seeker->state;
    size_t taken, found = seeker->results.count;

    if (seeker->left == 0)
        return fail_budget(seeker, err);
    if (space_translate(seeker->space, seeker->next, &physical, &n, err) != 0)
        return -1;
    n = smaller_u64(n, BUFFER);
    n = smaller_u64(n - 1, seeker->range.last - seeker->next) + 1;
    reach = dump_contiguous(dump, physical, n);
    charge(seeker, reach);
    if (reach == 0)
        return pass_missing(
            seeker, extent_at(dump, physical, physical + (n - 1)).last - physical + 1,
            done);
    n = reach;
    if (dump_read(dump, physical, seeker->buffer, (size_t)n, err) != 0)
        return -1;
    if (matcher_feed(seeker->matcher, &seeker->state, seeker->buffer, (size_t)n,
                     seeker->next, &seeker->results, FOUND_MAX + BUFFER, &taken) != 0) {
        seeker->state = before; /* to be looked through again, as if it had not been */
        seeker->results.count = found;
        return qvm_fail_memory(err, seeker->space->dump->file.path);
    }
    pass(seeker, taken);
    *done = taken;
    return 0;
}

static void keep_aligned(struct space_find *seeker)
{
    struct results *results = &seeker->results;
    size_t kept = 0;

    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].a % seeker->align == 0)
            results->items[kept++] = results->items[i];
    results->count = kept;
}

int seeker_step(struct space_find *seeker, struct qvm_error *err)
{
    uint64_t passed = 0, done = 0;
    int status = 1;

    seeker->results.count = 0;
    if (seeker->finished)
        return 0;
    while (passed < STEP && seeker->results.count < FOUND_MAX) {
        status = enter(seeker, err);
        if (status <= 0)
            break;
        if (look(seeker, &done, err) != 0) {
            status = -1;
            break;
        }
        passed += done;
    }
    keep_aligned(seeker);
    seeker->finished = status == 0;
    /* What was found before a failure is given first. */
    return status < 0 && seeker->results.count == 0 ? -1 : 1;
}
