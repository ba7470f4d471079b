/* A unit's strings are those that begin in it. Where the byte before a unit is printable
 * and in memory, the unit begins within a string of an earlier one, and skips it. A string
 * that goes on past the unit is read on.
 *
 * A string longer than STRINGS_PART is given in parts. A unit stops at TEXT_MAX bytes of
 * text, at SCAN_FOUND strings, or when it has completed a part past its end. The scan may
 * then be resumed in the middle of a string, and the next unit does not skip.
 *
 *     memory   ..~~~~~~~~~~~~~~~~~..~~~~..~~~~~~~~~~....
 *     units    [   unit 1   ][    unit 2     ][ unit 3
 *     run 1      ~~~~~~~~~~~~~~~~~                 reads on to the string's end
 *     run 2                  skip   ~~~~  ~~~~~~~~~~ */
#include "scan/strings.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64,
    TEXT_MAX = LIMIT(256 << 10, 1 << 8) /* bytes of strings after which a unit stops */
};

/* In scan_unit.state. */
enum { BETWEEN_STRINGS, WITHIN_STRING };

/* The run of a unit. */
struct run {
    const struct strings *strings;
    struct scan_unit *unit;
    struct strings_text *text;
    uint64_t start; /* of the string, or of its part, that is open */
    size_t open;    /* bytes of it, at the end of the text */
    bool continues; /* it is not the string's first part */
};

/* One comparison: what is below the blank wraps to a large number. */
static inline bool is_printable(unsigned char byte)
{
    return (unsigned char)(byte - ' ') <= '~' - ' ' || byte == '\t';
}

/* size never exceeds room, and both are bounded: TEXT_MAX and a part, so 2 * room + n does
 * not overflow. */
static int keep(struct strings_text *text, const unsigned char *bytes, size_t n)
{
    if (n > text->room - text->size) {
        size_t room = 2 * text->room + n;
        char *grown = realloc(text->bytes, room);

        if (!grown)
            return -1;
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, n);
    text->size += n;
    return 0;
}

/* Ends the open string, or a part of it: a result, if it is long enough. A string that is
 * too short leaves the text as it was before it. The last part of a long string counts
 * whatever its size, so that the parts together are the string. */
static int finish(struct run *run)
{
    size_t n = run->open;

    run->open = 0;
    if (n > 0 && (n >= run->strings->min || run->continues))
        return found_add(&run->unit->found, run->start, run->start + (n - 1));
    run->text->size -= n;
    return 0;
}

/* Stops the unit before an address if it has found enough. The third condition bounds how
 * far a unit reads past its end: by one part. */
static void stop_if_full(struct run *run, uint64_t address, int state)
{
    struct scan_unit *unit = run->unit;

    if (run->text->size >= TEXT_MAX || unit->found.count >= SCAN_FOUND ||
        (state == WITHIN_STRING && address - 1 > unit->last)) {
        unit->stopped = true;
        unit->done = address - 1;
        unit->state = state;
    }
}

/* Adds n printable bytes at an address to the open string, or opens one. The address of a
 * part is that of its first byte; parts adjoin. */
static int extend(struct run *run, const unsigned char *bytes, size_t n, uint64_t address)
{
    while (n > 0 && !run->unit->stopped) {
        size_t room = STRINGS_PART - run->open, part = n < room ? n : room;

        if (run->open == 0)
            run->start = address;
        if (keep(run->text, bytes, part) != 0)
            return -1;
        run->open += part;
        bytes += part;
        address += part;
        n -= part;
        if (run->open == STRINGS_PART) {
            if (finish(run) != 0)
                return -1;
            run->continues = true;
            stop_if_full(run, address, WITHIN_STRING);
        }
    }
    return 0;
}

static int close_string(struct run *run, uint64_t address)
{
    if (finish(run) != 0)
        return -1;
    run->continues = false;
    stop_if_full(run, address, BETWEEN_STRINGS);
    return 0;
}

/* Turns rows of an 8 x 8 matrix of bits into columns (Warren, Hacker's Delight, 7-3). */
static uint64_t transpose(uint64_t bits)
{
    uint64_t swap = (bits ^ bits >> 7) & UINT64_C(0x00aa00aa00aa00aa);

    bits ^= swap ^ swap << 7;
    swap = (bits ^ bits >> 14) & UINT64_C(0x0000cccc0000cccc);
    bits ^= swap ^ swap << 14;
    swap = (bits ^ bits >> 28) & UINT64_C(0x00000000f0f0f0f0);
    return bits ^ swap ^ swap << 28;
}

/* A bit for each of BLOCK bytes, the first the lowest: is it printable? The first loop is
 * written for the compiler's vectors. The second collects byte 8k + j as bit k of byte j.
 */
static uint64_t printable_bits(const unsigned char *bytes)
{
    unsigned char flags[BLOCK], any = 0;
    uint64_t bits = 0;

    for (int i = 0; i < BLOCK; i++)
        any |= flags[i] = is_printable(bytes[i]);
    if (!any)
        return 0;
    for (int k = 0; k < 8; k++)
        bits |= bytes_u64(flags + 8 * k, false) << k;
    return transpose(bits);
}

/* Bits that `n` ones begin at, where n is at most BLOCK. Each step adds the ones that
 * follow, as many as there are already: 1, 2, 4 ... */
static uint64_t runs_of(uint64_t bits, size_t n)
{
    for (size_t have = 1, more; have < n && bits; have += more) {
        more = have < n - have ? have : n - have;
        bits &= bits >> more;
    }
    return bits;
}

/* Printable bytes at the beginning of a block, and at its end. */
static unsigned low_ones(uint64_t bits)
{
    unsigned n = 0;

    while (n < BLOCK && bits >> n & 1)
        n++;
    return n;
}

static unsigned high_ones(uint64_t bits)
{
    unsigned n = 0;

    while (n < BLOCK && bits >> (BLOCK - 1 - n) & 1)
        n++;
    return n;
}

/* From i on, outside a string: where `min` printable bytes begin, or, at the end, fewer
 * that may go on past it; else n. Looks at each byte once; but feed() calls it after each
 * string, so in dense text the rest of a block is looked at again. For min = 4:
 *
 *     bytes     . a . . b c d e f . . g | h i j . . . . .
 *     runs              ^ ^             |
 *     open                            1 | 1 + 3: a string begins before the block */
static size_t find_start(const unsigned char *bytes, size_t i, size_t n, size_t min)
{
    size_t open = 0; /* printable bytes right before i */

    for (; n - i >= BLOCK; i += BLOCK) {
        uint64_t bits = printable_bits(bytes + i), runs = 0;

        if (open > 0 && open + low_ones(bits) >= min)
            return i - open;
        if (min < BLOCK)
            runs = runs_of(bits, min);
        if (runs)
            return i + low_ones(~runs);
        open = ~bits ? high_ones(bits) : open + BLOCK;
    }
    for (; i < n && open < min; i++)
        open = is_printable(bytes[i]) ? open + 1 : 0;
    return i - open;
}

static size_t printable_end(const unsigned char *bytes, size_t i, size_t n)
{
    while (i < n && is_printable(bytes[i]))
        i++;
    return i;
}

/* Takes n bytes at an address. *within: the last of them is in a string. Fewer than `min`
 * bytes at the end of a buffer are kept as an open string: the next buffer decides.
 * find_start() gives them although they are short. */
static int feed(struct run *run, const unsigned char *bytes, size_t n, uint64_t address,
                bool *within)
{
    size_t start = 0, end;

    if (!*within)
        start = find_start(bytes, 0, n, run->strings->min);
    *within = start < n;
    while (start < n && !run->unit->stopped) {
        end = printable_end(bytes, start, n);
        if (extend(run, bytes + start, end - start, address + start) != 0)
            return -1;
        if (end == n)
            return 0;
        if (!run->unit->stopped && close_string(run, address + end) != 0)
            return -1;
        /* Past the unit, what begins is the next unit's. */
        start =
            address > run->unit->last ? n : find_start(bytes, end, n, run->strings->min);
        *within = start < n;
    }
    return 0;
}

/* Does a unit begin within a string of an earlier one? The byte before is enough to know,
 * as strings have no other structure. It costs one read of one byte for each unit. Known
 * zeros are not printable. */
static int begins_within(struct scan *scan, const struct scan_unit *unit, bool *within,
                         struct qvm_error *err)
{
    struct extent extent;
    unsigned char byte;

    *within = false;
    if (unit->first == scan->first)
        return 0;
    if (memory_extent(scan->memory, unit->first - 1, unit->first - 1, &extent, err) != 0)
        return -1;
    if (extent.kind != EXTENT_DATA)
        return 0;
    if (memory_read_direct(scan->memory, unit->first - 1, &byte, 1, err) != 0)
        return -1;
    *within = is_printable(byte);
    return 0;
}

static int plan(struct scan *scan, struct scan_unit *unit, struct qvm_error *err)
{
    for (unsigned i = 0; !scan->finished && i < SCAN_EXTENTS; i++) {
        struct extent extent;

        if (scan_extent(scan, scan->memory, scan->next, &extent, err) != 0)
            return -1;
        if (extent.kind == EXTENT_DATA) {
            scan_plan_data(scan, unit, extent.last, SCAN_UNIT, false);
            return 1;
        }
        scan_pass(scan, extent.last);
    }
    return 0;
}

/* Skips the rest of an earlier unit's string in n bytes. */
static size_t skip_string(const unsigned char *bytes, size_t n, bool *skips)
{
    size_t skipped = *skips ? printable_end(bytes, 0, n) : 0;

    *skips = skipped == n;
    return skipped;
}

/* A unit that begins within an earlier unit's string skips up to its end, which may be past
 * the unit: then the unit has none. Where the scan stopped in a string, the first byte
 * continues it instead. */
static int run(struct scan *scan, struct scan_unit *unit, unsigned worker,
               struct qvm_error *err)
{
    struct strings *strings = (struct strings *)scan;
    struct run run = {
        .strings = strings, .unit = unit, .text = &strings->texts[unit - scan->units]};
    unsigned char *buffer = scan->buffers[worker];
    uint64_t address = unit->first;
    bool skips = false, within = false;
    size_t n, skipped;

    run.text->size = 0;
    if (unit->first == scan->resume_at && scan->resume_state == WITHIN_STRING)
        within = run.continues = true;
    else if (begins_within(scan, unit, &skips, err) != 0)
        return -1;
    for (; !unit->stopped; address += n) {
        if (scan_read_size(scan, unit, address, within ? run.open + 1 : 0, &n, err) != 0 ||
            (n > 0 && memory_read_direct(scan->memory, address, buffer, n, err) != 0))
            return -1;
        if (n == 0)
            return finish(&run) == 0 ? 0 : qvm_fail_memory(err, scan->memory->path);
        skipped = skip_string(buffer, n, &skips);
        if (feed(&run, buffer + skipped, n - skipped, address + skipped, &within) != 0)
            return qvm_fail_memory(err, scan->memory->path);
    }
    return 0;
}

int strings_init(struct strings *strings, struct memory *memory, size_t min, uint64_t first,
                 uint64_t last, unsigned threads, struct qvm_error *err)
{
    static const struct scan_ops ops = {plan, run};

    *strings = (struct strings){.min = min};
    return scan_init(&strings->scan, &ops, memory, first, last, SCAN_BUFFER, threads, err);
}

void strings_free(struct strings *strings)
{
    for (size_t i = 0; i < SCAN_UNITS; i++) {
        free(strings->texts[i].bytes);
        strings->texts[i].bytes = NULL;
    }
    scan_free(&strings->scan);
}
