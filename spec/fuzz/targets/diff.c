/* Compares two dumps: the differences that memcmp finds, extended to multiples of the
 * granularity within the memory of both, sorted and merged. */
#include "scan/diff.h"

#include "../dumps.h"
#include "fuzz.h"

enum { CALLS_MAX = 1 << 16, NOWHERE = -1 };

static struct fuzz_memory here, there;

/* By the address's offset from the base of both: the kind of difference, or NOWHERE
 * for bytes that are equal or in neither. */
static int kinds[FUZZ_MEMORY];

static bool in_both(uint64_t i)
{
    return i < FUZZ_MEMORY && here.there[i] && there.there[i];
}

static void extend(uint64_t i, uint64_t first, uint64_t last, uint64_t mask)
{
    uint64_t address = here.base + i;
    uint64_t low = address & ~mask, high = address | mask;

    for (uint64_t k = i; in_both(k) && here.base + k <= high && here.base + k <= last; k++)
        kinds[k] = DIFF_CHANGED;
    for (uint64_t k = i; in_both(k) && here.base + k >= low && here.base + k >= first; k--)
        kinds[k] = DIFF_CHANGED;
}

static void compare(uint64_t first, uint64_t last, uint64_t granularity)
{
    for (uint64_t i = 0; i < FUZZ_MEMORY; i++) {
        bool looked_at = here.base + i >= first && here.base + i <= last;

        kinds[i] = !looked_at || here.there[i] == there.there[i] ? NOWHERE
                   : here.there[i]                               ? DIFF_ONLY_HERE
                                                                 : DIFF_ONLY_THERE;
    }
    for (uint64_t i = 0; i < FUZZ_MEMORY; i++)
        if (in_both(i) && here.bytes[i] != there.bytes[i] && here.base + i >= first &&
            here.base + i <= last && kinds[i] == NOWHERE)
            extend(i, first, last, granularity - 1);
}

/* Checks a unit's results: in order, each covering all consecutive bytes of one kind.
 * *at: the offset up to which the results were checked. */
static void check_unit(const struct scan_unit *unit, uint64_t *at)
{
    for (size_t i = 0; i < unit->found.count; i++) {
        uint64_t from = unit->found.ranges[i].first - here.base;
        uint64_t to = unit->found.ranges[i].last - here.base;

        MUST(from >= *at && from <= to && to < FUZZ_MEMORY);
        MUST(i == 0 || from > *at); /* merged with the one before */
        for (; *at < from; ++*at)
            MUST(kinds[*at] == NOWHERE);
        for (; *at <= to; ++*at)
            MUST(kinds[*at] == unit->kind);
    }
}

static void diff(struct diff *differ, struct qvm_error *err)
{
    uint64_t at = 0;
    int calls = 0, status;

    while ((status = scan_step(&differ->scan, err)) != 0) {
        MUST(++calls < CALLS_MAX && (status > 0 || err->code == QVM_INCOMPLETE));
        for (size_t i = 0; i < differ->scan.ready; i++)
            check_unit(&differ->scan.units[i], &at);
    }
    MUST(differ->scan.finished);
    for (; at < FUZZ_MEMORY; at++)
        MUST(kinds[at] == NOWHERE);
}

static void use(struct dump *a, struct dump *b, struct fuzz_input *options, uint64_t seed)
{
    static struct diff differ;
    struct qvm_error *err = fuzz_error();
    unsigned flags = (unsigned)fuzz_take(options, 1);
    uint64_t granularity = UINT64_C(1) << flags / 4 % 14;
    uint64_t first = flags & 1 ? here.base + fuzz_take(options, 2) : 0;
    uint64_t last = flags & 2 ? here.base + fuzz_take(options, 2) : UINT64_MAX;

    compare(first, last, granularity);
    MUST(diff_init(&differ, &a->memory, &b->memory, first, last, granularity, 0, err) == 0);
    diff(&differ, err);
    diff_free(&differ);
    if (seed % 4 != 0)
        return;
    fuzz_faults(seed / 4);
    if (diff_init(&differ, &a->memory, &b->memory, first, last, granularity, 0, err) == 0) {
        while (scan_step(&differ.scan, err) > 0)
            ;
        diff_free(&differ);
    }
    fuzz_faults_end();
}

/* Input: 5 bytes of options, then both dumps: the second starts where the first ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input options = {data, size < 5 ? size : 5};
    struct fuzz_input input = {data + options.left, size - options.left};
    struct fuzz_input copy = input;
    struct dump *a = fuzz_fill(0, &here, &input);
    struct dump *b = NULL;

    if (size > 5 && data[0] & 128) { /* equal except for a few bytes */
        static uint8_t other[1 << 16];
        uint64_t random = fuzz_hash(data, size);

        copy.left = copy.left < sizeof other ? copy.left : sizeof other;
        for (size_t i = 0; i < copy.left; i++)
            other[i] = copy.at[i];
        for (int i = 0; i < 3; i++)
            other[1 + fuzz_random(&random) % copy.left] ^= 1;
        copy.at = other;
        b = fuzz_fill(1, &there, &copy);
    } else
        b = fuzz_fill(1, &there, &input);
    if (a && b && here.base == there.base)
        use(a, b, &options, fuzz_hash(data, size));
    if (a)
        dump_close(a);
    if (b)
        dump_close(b);
    return 0;
}
