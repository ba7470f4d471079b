/* Patterns in a dump's memory, and printable strings: as a search byte by byte finds them.
 */
#include "scan/find.h"

#include "../dumps.h"
#include "dump/extent.h"
#include "fuzz.h"
#include "scan/strings.h"

#include <string.h>

enum { PATTERNS_MAX = 12, CALLS_MAX = 1 << 16 };

static struct fuzz_memory memory;

struct query {
    struct pattern patterns[PATTERNS_MAX];
    size_t count;
    uint64_t first, last, align;
};

/* Some of the memory, or bytes of the input's own. */
static struct pattern take_pattern(struct fuzz_input *input)
{
    uint64_t kind = fuzz_take(input, 1), at = fuzz_take(input, 2) % FUZZ_MEMORY;
    size_t size = 1 + (kind >> 2) * (kind & 2 ? 6 : 1);

    if (kind & 1 && input->left > 0) {
        struct pattern pattern = {input->at, size < input->left ? size : input->left};

        input->at += pattern.size;
        input->left -= pattern.size;
        return pattern;
    }
    at = at < FUZZ_MEMORY - size ? at : 0;
    return (struct pattern){memory.bytes + at, size};
}

static bool is_at(uint64_t i, const struct pattern *pattern, const struct query *query)
{
    uint64_t address = memory.base + i;

    if (address < query->first || address > query->last || address % query->align != 0 ||
        pattern->size - 1 > query->last - address || pattern->size > FUZZ_MEMORY - i)
        return false;
    for (size_t k = 0; k < pattern->size; k++)
        if (!memory.there[i + k] || memory.bytes[i + k] != pattern->bytes[k])
            return false;
    return true;
}

/* The next match from *at on, which counts addresses and, at each, patterns. */
static bool next_match(const struct query *query, uint64_t *at)
{
    for (; *at < (uint64_t)FUZZ_MEMORY * query->count; ++*at)
        if (is_at(*at / query->count, &query->patterns[*at % query->count], query))
            return true;
    return false;
}

static void check_unit(const struct scan_unit *unit, const struct query *query,
                       uint64_t *at)
{
    for (size_t i = 0; i < unit->results.count; i++, ++*at) {
        MUST(next_match(query, at));
        MUST(unit->results.items[i].a == memory.base + *at / query->count);
        MUST(unit->results.items[i].b == *at % query->count);
    }
}

static void check_total(const struct dump *dump, const struct query *query)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < FUZZ_MEMORY; i++)
        total += memory.there[i] && memory.base + i >= query->first &&
                 memory.base + i <= query->last;
    MUST(query->first > query->last || dump->file.size < dump->elf.extent ||
         extent_total(dump, query->first, query->last) == total);
}

static void find(const struct dump *dump, const struct query *query)
{
    struct qvm_error *err = fuzz_error();
    static struct find finder;
    uint64_t at = 0;
    int calls = 0, status;

    MUST(find_init(&finder, dump, query->patterns, query->count, query->first, query->last,
                   query->align, err) == 0);
    while ((status = scan_step(&finder.scan, err)) != 0) {
        MUST(++calls < CALLS_MAX && (status > 0 || err->code == QVM_INCOMPLETE));
        for (size_t i = 0; i < finder.scan.ready; i++)
            check_unit(&finder.scan.units[i], query, &at);
    }
    MUST(finder.scan.finished && !next_match(query, &at));
    find_free(&finder);
}

static bool is_printable(uint64_t i, const struct query *query)
{
    uint64_t address = memory.base + i;

    return i < FUZZ_MEMORY && address >= query->first && address <= query->last &&
           memory.there[i] &&
           (memory.bytes[i] == '\t' || (memory.bytes[i] >= ' ' && memory.bytes[i] <= '~'));
}

/* The next string or piece of one: where it begins and its bytes; 0 at the end. */
static size_t next_string(const struct query *query, size_t min, uint64_t *at, bool *run)
{
    for (;; *run = false) {
        size_t n = 0;

        while (!*run && *at < FUZZ_MEMORY && !is_printable(*at, query))
            ++*at;
        while (n < STRINGS_PART && is_printable(*at + n, query))
            n++;
        if (n > 0 && (n >= min || *run)) {
            *run = n == STRINGS_PART;
            return n;
        }
        *at += n;
        if (n == 0 && !*run)
            return 0;
    }
}

static void find_strings(const struct dump *dump, const struct query *query, size_t min)
{
    struct qvm_error *err = fuzz_error();
    struct strings strings;
    uint64_t at = 0;
    bool run = false;
    int calls = 0, status;

    MUST(strings_init(&strings, dump, min, query->first, query->last, err) == 0);
    while ((status = strings_step(&strings, err)) != 0) {
        const char *text = strings.text;

        MUST(++calls < CALLS_MAX && (status > 0 || err->code == QVM_INCOMPLETE));
        for (size_t i = 0; i < strings.found.count; i++) {
            size_t n = next_string(query, min, &at, &run);

            MUST(n > 0 && strings.found.items[i].b == n);
            MUST(strings.found.items[i].a == memory.base + at);
            MUST(memcmp(text, memory.bytes + at, n) == 0);
            text += n;
            at += n;
        }
    }
    MUST(strings.finished && next_string(query, min, &at, &run) == 0);
    strings_free(&strings);
}

static void find_failing(const struct dump *dump, const struct query *query, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    static struct find finder;
    struct strings strings;

    fuzz_faults(seed);
    if (find_init(&finder, dump, query->patterns, query->count, query->first, query->last,
                  query->align, err) == 0) {
        while (scan_step(&finder.scan, err) > 0)
            ;
        find_free(&finder);
    }
    if (strings_init(&strings, dump, 4, query->first, query->last, err) == 0) {
        while (strings_step(&strings, err) > 0)
            ;
        strings_free(&strings);
    }
    fuzz_faults_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct query query = {.align = UINT64_C(1) << fuzz_take(&input, 1) % 5};
    unsigned flags = (unsigned)fuzz_take(&input, 1);
    uint64_t from = fuzz_take(&input, 2), to = fuzz_take(&input, 2);
    size_t min = 1 + fuzz_take(&input, 1) % STRINGS_PART;
    struct dump *dump = fuzz_fill(0, &memory, &input);

    if (!dump)
        return 0;
    query.first = flags & 1 ? memory.base + from : 0;
    query.last = flags & 2 ? memory.base + to : UINT64_MAX;
    query.count = flags & 4 ? 1 : 1 + flags / 8 % PATTERNS_MAX;
    for (size_t i = 0; i < query.count; i++)
        query.patterns[i] = take_pattern(&input);
    check_total(dump, &query);
    find(dump, &query);
    find_strings(dump, &query, min);
    find_failing(dump, &query, fuzz_hash(data, size));
    dump_close(dump);
    return 0;
}
