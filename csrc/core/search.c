#include "search.h"

#include "span.h"

#include <stdlib.h>

/* Bytes that are read at once behind a unit, to see how a match ends. */
enum { OVERRUN = 4096 };

/* Of known zeros only the end can be the beginning of a match. */
static bool plan_zeros(struct search *search, struct sweep_unit *unit, uint64_t last)
{
    struct sweep *sweep = &search->sweep;
    uint64_t reach = matcher_longest(search->matcher) - 1;

    unit->first = last - sweep->next < reach ? sweep->next : last - reach + 1;
    unit->last = last;
    sweep_pass(sweep, last);
    return reach > 0 && last != sweep->last;
}

static bool plan_data(struct search *search, struct sweep_unit *unit, uint64_t last)
{
    struct sweep *sweep = &search->sweep;
    uint64_t longest = matcher_longest(search->matcher);
    uint64_t size = longest > SWEEP_UNIT / 4 ? 4 * longest : SWEEP_UNIT;

    unit->first = sweep->next;
    unit->last = last - sweep->next < size ? last : sweep->next + (size - 1);
    sweep_pass(sweep, unit->last);
    return true;
}

/* A unit is where matches may begin; they may end behind it. */
static bool plan(struct sweep *sweep, struct sweep_unit *unit)
{
    struct search *search = (struct search *)sweep;

    while (!sweep->finished) {
        struct span span = span_at(search->dump, sweep->next, sweep->last);

        if (span.kind == SPAN_ZEROS && matcher_has_zeros(search->matcher))
            span.kind = SPAN_DATA;
        if (span.kind == SPAN_DATA)
            return plan_data(search, unit, span.last);
        if (span.kind != SPAN_ZEROS)
            sweep_pass(sweep, span.last);
        else if (plan_zeros(search, unit, span.last))
            return true;
    }
    return false;
}

/* Leaves out what does not begin in the unit and at a multiple, and puts it in order. */
static void tidy(const struct search *search, struct sweep_unit *unit)
{
    struct results *results = &unit->results;
    size_t kept = 0;

    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].a <= unit->done && results->items[i].a % search->align == 0)
            results->items[kept++] = results->items[i];
    results->count = kept;
    if (search->sort)
        results_sort(results);
}

/* How many bytes to take next: none where memory ends, or where nothing that begins in the
 * unit can still be a match. */
static size_t take(const struct search *search, const struct sweep_unit *unit,
                   uint64_t address, uint64_t depth)
{
    uint64_t want = SWEEP_BUFFER;

    if (address > search->sweep.last || (address == 0 && depth > 0)) /* wrapped around */
        return 0;
    if (address > unit->last) {
        if (address - depth > unit->last)
            return 0;
        want = OVERRUN;
    } else if (unit->last - address < want)
        want = unit->last - address + 1;
    if (search->sweep.last - address < want)
        want = search->sweep.last - address + 1;
    return (size_t)dump_reach(search->dump, address, want);
}

/* Stops a unit that has found too much, in front of what is not yet decided. */
static bool is_full(const struct sweep_unit *unit, uint64_t address, uint64_t depth)
{
    return unit->results.count >= SWEEP_RESULTS && address - depth > unit->first &&
           address - depth <= unit->last;
}

static int run(struct sweep *sweep, struct sweep_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    struct search *search = (struct search *)sweep;
    unsigned char *buffer = search->buffers[worker];
    uint64_t address = unit->first, depth = 0;
    matcher_state state = 0;
    size_t n, taken;

    while ((n = take(search, unit, address, depth)) > 0) {
        if (dump_read(search->dump, address, buffer, n, err) != 0)
            return -1;
        if (matcher_feed(search->matcher, &state, buffer, n, address, &unit->results,
                         SWEEP_RESULTS, &taken) != 0)
            return qvm_fail_memory(err, search->dump->file.path);
        depth = matcher_depth(search->matcher, state);
        address += taken;
        if (is_full(unit, address, depth)) {
            unit->done = address - depth - 1;
            break;
        }
        if (address == 0) /* behind the last address */
            break;
    }
    tidy(search, unit);
    return 0;
}

int search_start(struct search *search, const struct dump *dump,
                 const struct pattern *patterns, size_t count, uint64_t first,
                 uint64_t last, uint64_t align, struct qvm_error *err)
{
    bool parallel = !dump->file.gzip, ok = true;

    *search = (struct search){.dump = dump, .align = align, .sort = count > 1};
    search->sweep.next = first;
    search->sweep.last = last;
    search->sweep.finished = first > last;
    search->sweep.plan = plan;
    search->sweep.run = run;
    sweep_start(&search->sweep, parallel);
    for (unsigned i = 0; i < search->sweep.workers; i++)
        ok = (search->buffers[i] = malloc(SWEEP_BUFFER)) != NULL && ok;
    search->matcher = matcher_new(patterns, count, err);
    if (search->matcher && ok)
        return 0;
    search_free(search);
    return qvm_fail_memory(err, dump->file.path);
}

void search_free(struct search *search)
{
    if (search->matcher)
        matcher_free(search->matcher);
    search->matcher = NULL;
    for (unsigned i = 0; i < TEAM_MAX; i++) {
        free(search->buffers[i]);
        search->buffers[i] = NULL;
    }
    sweep_free(&search->sweep);
}
