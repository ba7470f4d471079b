#include "scan/find.h"

#include "dump/extent.h"

#include <stdlib.h>

/* Bytes that are read behind a unit at first, to see how a match ends. */
enum { OVERRUN = 64 };

/* Known zeros are read like data where a pattern is nothing else. */
static struct span next_span(const struct finder *finder, uint64_t address, uint64_t last)
{
    struct span span = span_at(finder->dump, address, last);

    if (span.kind == SPAN_ZEROS && matcher_has_zeros(finder->matcher))
        span.kind = SPAN_DATA;
    return span;
}

/* Of known zeros only the end can be the beginning of a match. */
static bool plan_zeros(struct finder *finder, struct sweep_unit *unit, uint64_t last)
{
    struct sweep *sweep = &finder->sweep;
    uint64_t reach = matcher_zeros(finder->matcher);

    unit->first = last - sweep->next < reach ? sweep->next : last - reach + 1;
    unit->last = last;
    sweep_pass(sweep, last);
    return reach > 0 && last != sweep->last;
}

/* A unit is large beside the patterns, though it takes many small segments. */
static bool plan_data(struct finder *finder, struct sweep_unit *unit, uint64_t last)
{
    struct sweep *sweep = &finder->sweep;
    uint64_t longest = matcher_longest(finder->matcher);
    uint64_t size = longest > SWEEP_UNIT / 4 ? 4 * longest : SWEEP_UNIT;
    uint64_t end = sweep->last;

    unit->first = sweep->next;
    if (end - unit->first >= size)
        end = unit->first + (size - 1);
    while (last < end) {
        struct span more = next_span(finder, last + 1, end);

        if (more.kind != SPAN_DATA)
            break;
        last = more.last;
    }
    unit->last = last < end ? last : end;
    sweep_pass(sweep, unit->last);
    return true;
}

/* A unit is where matches may begin; they may end behind it. */
static bool plan(struct sweep *sweep, struct sweep_unit *unit)
{
    struct finder *finder = (struct finder *)sweep;

    for (unsigned spans = 0; !sweep->finished && spans < SWEEP_SPANS; spans++) {
        struct span span = next_span(finder, sweep->next, sweep->last);

        if (span.kind == SPAN_DATA)
            return plan_data(finder, unit, span.last);
        if (span.kind != SPAN_ZEROS)
            sweep_pass(sweep, span.last);
        else if (plan_zeros(finder, unit, span.last))
            return true;
    }
    return false;
}

/* Leaves out what does not begin in the unit and at a multiple, and puts it in order. */
static void tidy(const struct finder *finder, struct sweep_unit *unit)
{
    struct results *results = &unit->results;
    size_t kept = 0;

    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].a <= unit->done && results->items[i].a % finder->align == 0)
            results->items[kept++] = results->items[i];
    results->count = kept;
    if (finder->sort)
        results_sort(results);
}

/* How many bytes to take next: none where memory ends, or where nothing that begins in the
 * unit can still be a match. Behind the unit about as many as a match has there already, so
 * that a small unit does not cost a large read. */
static size_t take(const struct finder *finder, const struct sweep_unit *unit,
                   uint64_t address, uint64_t depth)
{
    uint64_t want = SWEEP_BUFFER;

    if (address > finder->sweep.last || (address == 0 && depth > 0)) /* wrapped around */
        return 0;
    if (address > unit->last) {
        if (address - depth > unit->last)
            return 0;
        want = depth < OVERRUN ? OVERRUN : depth < SWEEP_BUFFER ? depth : SWEEP_BUFFER;
    } else if (unit->last - address < want)
        want = unit->last - address + 1;
    if (finder->sweep.last - address < want)
        want = finder->sweep.last - address + 1;
    return (size_t)dump_reach(finder->dump, address, want);
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
    struct finder *finder = (struct finder *)sweep;
    unsigned char *buffer = finder->buffers[worker];
    uint64_t address = unit->first, depth = 0;
    matcher_state state = 0;
    size_t n, taken;

    while ((n = take(finder, unit, address, depth)) > 0) {
        if (dump_read(finder->dump, address, buffer, n, err) != 0)
            return -1;
        if (matcher_feed(finder->matcher, &state, buffer, n, address, &unit->results,
                         unit->results.count + SWEEP_RESULTS, &taken) != 0)
            return qvm_fail_memory(err, finder->dump->file.path);
        depth = matcher_depth(finder->matcher, state);
        address += taken;
        if (is_full(unit, address, depth)) {
            unit->done = address - depth - 1;
            break;
        }
        if (address == 0) /* behind the last address */
            break;
    }
    tidy(finder, unit);
    return 0;
}

int finder_start(struct finder *finder, const struct dump *dump,
                 const struct pattern *patterns, size_t count, uint64_t first,
                 uint64_t last, uint64_t align, struct qvm_error *err)
{
    bool parallel = !dump->file.gzip, ok = true;

    *finder = (struct finder){.dump = dump, .align = align, .sort = count > 1};
    finder->sweep.next = first;
    finder->sweep.last = last;
    finder->sweep.finished = first > last;
    finder->sweep.plan = plan;
    finder->sweep.run = run;
    sweep_start(&finder->sweep, parallel);
    for (unsigned i = 0; i < finder->sweep.workers; i++)
        ok = (finder->buffers[i] = malloc(SWEEP_BUFFER)) != NULL && ok;
    finder->matcher = matcher_new(patterns, count, err);
    if (finder->matcher && ok)
        return 0;
    finder_free(finder);
    return qvm_fail_memory(err, dump->file.path);
}

void finder_free(struct finder *finder)
{
    if (finder->matcher)
        matcher_free(finder->matcher);
    finder->matcher = NULL;
    for (unsigned i = 0; i < TEAM_MAX; i++) {
        free(finder->buffers[i]);
        finder->buffers[i] = NULL;
    }
    sweep_free(&finder->sweep);
}
