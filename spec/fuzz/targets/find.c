/* A pattern in a dump's memory, and printable strings: checked against a search byte
 * by byte. */
#include "scan/find.h"

#include "../dumps.h"
#include "dump/dump_memory.h"
#include "fuzz.h"
#include "scan/strings.h"

#include <string.h>

enum { CALLS_MAX = 1 << 16 };

static struct fuzz_memory memory;

struct query {
    const unsigned char *pattern;
    size_t size;
    uint64_t first, last, align;
};

/* Copies some of the memory, or bytes of the input. */
static void take_pattern(struct fuzz_input *input, struct query *query)
{
    uint64_t kind = fuzz_take(input, 1), at = fuzz_take(input, 2) % FUZZ_MEMORY;
    size_t size = 1 + (kind >> 2) * (kind & 2 ? 6 : 1);

    if (kind & 1 && input->left > 0) {
        query->pattern = input->at;
        query->size = size < input->left ? size : input->left;
        input->at += query->size;
        input->left -= query->size;
        return;
    }
    query->pattern = memory.bytes + (at < FUZZ_MEMORY - size ? at : 0);
    query->size = size;
}

static bool is_at(uint64_t i, const struct query *query)
{
    uint64_t address = memory.base + i;

    if (address < query->first || address > query->last || address % query->align != 0 ||
        query->size - 1 > query->last - address || query->size > FUZZ_MEMORY - i)
        return false;
    for (size_t k = 0; k < query->size; k++)
        if (!memory.there[i + k] || memory.bytes[i + k] != query->pattern[k])
            return false;
    return true;
}

/* The next match at or after *at. */
static bool next_match(const struct query *query, uint64_t *at)
{
    for (; *at < FUZZ_MEMORY; ++*at)
        if (is_at(*at, query))
            return true;
    return false;
}

static void check_unit(const struct scan_unit *unit, const struct query *query,
                       uint64_t *at)
{
    for (size_t i = 0; i < unit->found.count; i++, ++*at) {
        MUST(next_match(query, at));
        MUST(unit->found.ranges[i].first == memory.base + *at);
        MUST(unit->found.ranges[i].last == memory.base + *at + (query->size - 1));
    }
}

static void check_total(const struct dump *dump, const struct query *query)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < FUZZ_MEMORY; i++)
        total += memory.there[i] && memory.base + i >= query->first &&
                 memory.base + i <= query->last;
    MUST(query->first > query->last || dump->file.size < dump->elf.extent ||
         dump_memory_total(dump, query->first, query->last) == total);
}

static void find(struct dump *dump, const struct query *query)
{
    struct qvm_error *err = fuzz_error();
    static struct find finder;
    uint64_t at = 0;
    int calls = 0, status;

    MUST(find_init(&finder, &dump->memory, query->pattern, query->size, query->first,
                   query->last, query->align, 0, err) == 0);
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

/* The start and bytes of the next string or part of one; 0 at the end. */
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

static void check_strings(const struct strings *strings, size_t index,
                          const struct query *query, size_t min, uint64_t *at, bool *run)
{
    const struct found *found = &strings->scan.units[index].found;
    const struct strings_text *text = &strings->texts[index];
    size_t size = 0;

    for (size_t i = 0; i < found->count; i++) {
        size_t n = next_string(query, min, at, run);

        MUST(n > 0 && found->ranges[i].last - found->ranges[i].first == n - 1);
        MUST(found->ranges[i].first == memory.base + *at);
        MUST(n <= text->size - size);
        MUST(memcmp(text->bytes + size, memory.bytes + *at, n) == 0);
        size += n;
        *at += n;
    }
    MUST(size == text->size);
}

static void find_strings(struct dump *dump, const struct query *query, size_t min)
{
    struct qvm_error *err = fuzz_error();
    static struct strings strings;
    uint64_t at = 0;
    bool run = false;
    int calls = 0, status;

    MUST(strings_init(&strings, &dump->memory, min, query->first, query->last, 0, err) ==
         0);
    while ((status = scan_step(&strings.scan, err)) != 0) {
        MUST(++calls < CALLS_MAX && (status > 0 || err->code == QVM_INCOMPLETE));
        for (size_t i = 0; i < strings.scan.ready; i++)
            check_strings(&strings, i, query, min, &at, &run);
    }
    MUST(strings.scan.finished && next_string(query, min, &at, &run) == 0);
    strings_free(&strings);
}

static void find_failing(struct dump *dump, const struct query *query, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    static struct find finder;
    static struct strings strings;

    fuzz_faults(seed);
    if (find_init(&finder, &dump->memory, query->pattern, query->size, query->first,
                  query->last, query->align, 0, err) == 0) {
        while (scan_step(&finder.scan, err) > 0)
            ;
        find_free(&finder);
    }
    if (strings_init(&strings, &dump->memory, 4, query->first, query->last, 0, err) == 0) {
        while (scan_step(&strings.scan, err) > 0)
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
    take_pattern(&input, &query);
    check_total(dump, &query);
    find(dump, &query);
    find_strings(dump, &query, min);
    find_failing(dump, &query, fuzz_hash(data, size));
    dump_close(dump);
    return 0;
}
