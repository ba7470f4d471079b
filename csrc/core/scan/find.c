/* A unit is where occurrences may begin. Known zeros are skipped without reading, except
 * their end, where an occurrence of a pattern that begins with zeros may begin; and unless
 * the pattern is nothing but zeros: then they are read like data.
 *
 * A unit owns the occurrences that begin in it, and reads past its end to decide them:
 *
 *     unit 1   [..................]~~~~        reads on while depth > 0
 *     unit 2                      [..............]
 *     pattern                   [xxxx]         found by unit 1 */
#include "scan/find.h"

/*     zeros  [0 0 0 0 0 0 0 0 0 0][data
 *     unit                [......]              the last `zeros` bytes of them
 *
 * No occurrence begins earlier: the byte after the leading zeros of the pattern is not
 * zero, so it lies past these zeros. If the scan ends with the zeros, there is no room for
 * it. */
static int plan_zeros(struct find *find, struct scan_unit *unit, uint64_t last)
{
    struct scan *scan = &find->scan;
    uint64_t zeros = find->pattern.zeros;

    unit->first = last - scan->next < zeros ? scan->next : last - zeros + 1;
    unit->last = last;
    scan_pass(scan, last);
    return zeros > 0 && last != scan->last;
}

static int plan(struct scan *scan, struct scan_unit *unit, struct qvm_error *err)
{
    struct find *find = (struct find *)scan;
    bool zeros_are_data = find->pattern.zeros == find->pattern.size;
    uint64_t size = find->pattern.size;

    /* A unit is large beside the pattern: past it, so much is read a second time. */
    size = size > SCAN_UNIT / 4 ? 4 * size : SCAN_UNIT;
    for (unsigned i = 0; !scan->finished && i < SCAN_EXTENTS; i++) {
        struct extent extent;

        if (scan_extent(scan, scan->memory, scan->next, &extent, err) != 0)
            return -1;
        if (extent.kind == EXTENT_DATA || (extent.kind == EXTENT_ZEROS && zeros_are_data)) {
            scan_plan_data(scan, unit, extent.last, size, zeros_are_data);
            return 1;
        }
        if (extent.kind != EXTENT_ZEROS)
            scan_pass(scan, extent.last);
        else if (plan_zeros(find, unit, extent.last))
            return 1;
    }
    return 0;
}

/* Drops what begins past the part of the unit that is done, or not at a multiple. What
 * begins past `done` is found again by the scan when it goes on from there. */
static void filter(const struct find *find, struct scan_unit *unit)
{
    struct found *found = &unit->found;
    size_t kept = 0;

    for (size_t i = 0; i < found->count; i++)
        if (found->ranges[i].first <= unit->done &&
            found->ranges[i].first % find->align == 0)
            found->ranges[kept++] = found->ranges[i];
    found->count = kept;
}

/* Stops a unit that has found enough, before what is not yet decided: the last `depth`
 * bytes before an address. What begins up to address - depth - 1 is decided: the automaton
 * would otherwise be deeper. The unit must keep at least one address, or the scan would not
 * advance. */
static bool is_full(struct scan_unit *unit, uint64_t address, uint64_t depth)
{
    if (unit->found.count < SCAN_FOUND || address - depth <= unit->first ||
        address - depth > unit->last)
        return false;
    unit->done = address - depth - 1;
    unit->stopped = true;
    return true;
}

/* The unit ends where nothing is open past its last address, where memory ends, or where it
 * is full. Nothing goes on across a gap: scan_read_size() gives 0 there. */
static int run(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    struct find *find = (struct find *)scan;
    unsigned char *buffer = scan->buffers[worker];
    uint64_t address = unit->first;
    size_t depth = 0, n, taken;

    do {
        /* What began past the unit is not this unit's. */
        bool begun = depth > 0 && address - depth <= unit->last;

        if (scan_read_size(scan, unit, address, begun ? depth : 0, &n, err) != 0 ||
            (n > 0 && memory_read_direct(scan->memory, address, buffer, n, err) != 0))
            return -1;
        if (n == 0)
            break;
        if (pattern_feed(&find->pattern, &depth, buffer, n, address, &unit->found,
                         unit->found.count + SCAN_FOUND, &taken) != 0)
            return qvm_fail_memory(err, scan->memory->path);
        address += taken;
    } while (!is_full(unit, address, depth));
    filter(find, unit);
    return 0;
}

int find_init(struct find *find, struct memory *memory, const void *bytes, size_t size,
              uint64_t first, uint64_t last, uint64_t align, unsigned threads,
              struct qvm_error *err)
{
    static const struct scan_ops ops = {plan, run};

    *find = (struct find){.align = align};
    if (pattern_init(&find->pattern, bytes, size, err) != 0)
        return -1;
    if (scan_init(&find->scan, &ops, memory, first, last, SCAN_BUFFER, threads, err) == 0)
        return 0;
    pattern_free(&find->pattern);
    return -1;
}

void find_free(struct find *find)
{
    pattern_free(&find->pattern);
    scan_free(&find->scan);
}
