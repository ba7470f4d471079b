#include "scan/find.h"

#include "dump/extent.h"

#include <stdlib.h>

/* Bytes that are read behind a unit at first, to see how a match ends. */
enum { OVERRUN = 64 };

/* Known zeros are read like data where a pattern is nothing else. */
static struct extent next_extent(const struct find *find, uint64_t address, uint64_t last)
{
    struct extent extent = extent_at(find->dump, address, last);

    if (extent.kind == EXTENT_ZEROS && matcher_has_zeros(find->matcher))
        extent.kind = EXTENT_DATA;
    return extent;
}

/* Of known zeros only the end can be the beginning of a match. */
static bool plan_zeros(struct find *find, struct scan_unit *unit, uint64_t last)
{
    struct scan *scan = &find->scan;
    uint64_t reach = matcher_zeros(find->matcher);

    unit->first = last - scan->next < reach ? scan->next : last - reach + 1;
    unit->last = last;
    scan_pass(scan, last);
    return reach > 0 && last != scan->last;
}

/* A unit is large beside the patterns, though it takes many small segments. */
static bool plan_data(struct find *find, struct scan_unit *unit, uint64_t last)
{
    struct scan *scan = &find->scan;
    uint64_t longest = matcher_longest(find->matcher);
    uint64_t size = longest > SCAN_UNIT / 4 ? 4 * longest : SCAN_UNIT;
    uint64_t end = scan->last;

    unit->first = scan->next;
    if (end - unit->first >= size)
        end = unit->first + (size - 1);
    while (last < end) {
        struct extent more = next_extent(find, last + 1, end);

        if (more.kind != EXTENT_DATA)
            break;
        last = more.last;
    }
    unit->last = last < end ? last : end;
    scan_pass(scan, unit->last);
    return true;
}

/* A unit is where matches may begin; they may end behind it. */
static bool plan(struct scan *scan, struct scan_unit *unit)
{
    struct find *find = (struct find *)scan;

    for (unsigned extents = 0; !scan->finished && extents < SCAN_EXTENTS; extents++) {
        struct extent extent = next_extent(find, scan->next, scan->last);

        if (extent.kind == EXTENT_DATA)
            return plan_data(find, unit, extent.last);
        if (extent.kind != EXTENT_ZEROS)
            scan_pass(scan, extent.last);
        else if (plan_zeros(find, unit, extent.last))
            return true;
    }
    return false;
}

/* Leaves out what does not begin in the unit and at a multiple, and puts it in order. */
static void tidy(const struct find *find, struct scan_unit *unit)
{
    struct results *results = &unit->results;
    size_t kept = 0;

    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].a <= unit->done && results->items[i].a % find->align == 0)
            results->items[kept++] = results->items[i];
    results->count = kept;
    if (find->sort)
        results_sort(results);
}

/* How many bytes to take next: none where memory ends, or where nothing that begins in the
 * unit can still be a match. Behind the unit about as many as a match has there already, so
 * that a small unit does not cost a large read. */
static size_t take(const struct find *find, const struct scan_unit *unit, uint64_t address,
                   uint64_t depth)
{
    uint64_t want = SCAN_BUFFER;

    if (address > find->scan.last || (address == 0 && depth > 0)) /* wrapped around */
        return 0;
    if (address > unit->last) {
        if (address - depth > unit->last)
            return 0;
        want = depth < OVERRUN ? OVERRUN : depth < SCAN_BUFFER ? depth : SCAN_BUFFER;
    } else if (unit->last - address < want)
        want = unit->last - address + 1;
    if (find->scan.last - address < want)
        want = find->scan.last - address + 1;
    return (size_t)dump_contiguous(find->dump, address, want);
}

/* Stops a unit that has found too much, in front of what is not yet decided. */
static bool is_full(const struct scan_unit *unit, uint64_t address, uint64_t depth)
{
    return unit->results.count >= SCAN_RESULTS && address - depth > unit->first &&
           address - depth <= unit->last;
}

static int run(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    struct find *find = (struct find *)scan;
    unsigned char *buffer = find->buffers[worker];
    uint64_t address = unit->first, depth = 0;
    matcher_state state = 0;
    size_t n, taken;

    while ((n = take(find, unit, address, depth)) > 0) {
        if (dump_read(find->dump, address, buffer, n, err) != 0)
            return -1;
        if (matcher_feed(find->matcher, &state, buffer, n, address, &unit->results,
                         unit->results.count + SCAN_RESULTS, &taken) != 0)
            return qvm_fail_memory(err, find->dump->file.path);
        depth = matcher_depth(find->matcher, state);
        address += taken;
        if (is_full(unit, address, depth)) {
            unit->done = address - depth - 1;
            break;
        }
        if (address == 0) /* behind the last address */
            break;
    }
    tidy(find, unit);
    return 0;
}

int find_init(struct find *find, const struct dump *dump, const struct pattern *patterns,
              size_t count, uint64_t first, uint64_t last, uint64_t align,
              struct qvm_error *err)
{
    bool parallel = !dump->file.gzip, ok = true;

    *find = (struct find){.dump = dump, .align = align, .sort = count > 1};
    find->scan.next = first;
    find->scan.last = last;
    find->scan.finished = first > last;
    find->scan.plan = plan;
    find->scan.run = run;
    scan_init(&find->scan, parallel);
    for (unsigned i = 0; i < find->scan.workers; i++)
        ok = (find->buffers[i] = malloc(SCAN_BUFFER)) != NULL && ok;
    find->matcher = matcher_new(patterns, count, err);
    if (find->matcher && ok)
        return 0;
    find_free(find);
    return qvm_fail_memory(err, dump->file.path);
}

void find_free(struct find *find)
{
    if (find->matcher)
        matcher_free(find->matcher);
    find->matcher = NULL;
    for (unsigned i = 0; i < PARALLEL_MAX; i++) {
        free(find->buffers[i]);
        find->buffers[i] = NULL;
    }
    scan_free(&find->scan);
}
