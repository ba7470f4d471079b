/* The pattern matcher against a search that compares every pattern at every place, on
 * random texts of few different bytes, so that patterns overlap and share beginnings. The
 * text is fed in pieces of random sizes, with random limits on the results of one call. */
#include "scan/pattern.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { CASES = 2000, TEXT_MAX = 1500, PATTERNS_MAX = 12, SIZE_MAX_HERE = 90 };

#define BASE UINT64_C(0xffffffffffff0000) /* the address of the text's first byte */

static unsigned char text[TEXT_MAX], stored[PATTERNS_MAX][SIZE_MAX_HERE];
static struct pattern patterns[PATTERNS_MAX];
static size_t text_size, count;
static bool seen[TEXT_MAX][PATTERNS_MAX];

static void random_bytes(unsigned char *bytes, size_t n, unsigned letters)
{
    static const unsigned char alphabet[] = {0, 'a', 0xff, 0x48, 'Q'};

    for (size_t i = 0; i < n; i++)
        bytes[i] = alphabet[check_random(letters)];
}

/* Patterns are mostly short; some are taken from the text, so that long ones match. */
static void random_patterns(unsigned letters)
{
    count = check_random(4) == 0 ? 1 : 1 + check_random(PATTERNS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t longest = check_random(3) == 0 ? SIZE_MAX_HERE : 6;
        size_t size = 1 + check_random(longest);

        if (check_random(2) == 0 && size <= text_size)
            memcpy(stored[i], text + check_random(text_size - size + 1), size);
        else
            random_bytes(stored[i], size, letters);
        patterns[i] = (struct pattern){stored[i], size};
    }
}

static void random_case(void)
{
    unsigned letters = 1 + (unsigned)check_random(5);

    text_size = check_random(TEXT_MAX + 1);
    random_bytes(text, text_size, letters);
    if (check_random(2) == 0) /* long stretches that the filter skips */
        memset(text, 'x', text_size - text_size / 8);
    random_patterns(letters);
    memset(seen, 0, sizeof seen);
}

static bool matches(size_t at, size_t pattern)
{
    return patterns[pattern].size <= text_size - at &&
           memcmp(text + at, patterns[pattern].bytes, patterns[pattern].size) == 0;
}

/* The longest end of the first n bytes that is the beginning of a pattern. */
static size_t naive_depth(size_t n)
{
    for (size_t depth = n < SIZE_MAX_HERE ? n : SIZE_MAX_HERE; depth > 0; depth--)
        for (size_t p = 0; p < count; p++)
            if (depth <= patterns[p].size &&
                memcmp(text + n - depth, patterns[p].bytes, depth) == 0)
                return depth;
    return 0;
}

static void check_results(const struct results *results, size_t first, size_t last)
{
    size_t end_before = first;

    for (size_t i = 0; i < results->count; i++) {
        uint64_t at = results->items[i].a - BASE, pattern = results->items[i].b;
        size_t end;

        if (!CHECK(at < text_size && pattern < count) || !CHECK(matches(at, pattern)))
            return;
        end = at + patterns[pattern].size;
        CHECK(end > first && end <= last && end >= end_before);
        CHECK(!seen[at][pattern]);
        seen[at][pattern] = true;
        end_before = end;
    }
}

static void feed_all(const struct matcher *matcher)
{
    struct results results = {0};
    matcher_state state = 0;
    size_t at = 0;

    while (at < text_size) {
        size_t n = 1 + check_random(check_random(2) ? text_size - at : 9), taken = 0;
        size_t enough = check_random(2) ? SIZE_MAX : 1 + check_random(4);

        if (n > text_size - at)
            n = text_size - at;
        results.count = 0;
        CHECK(matcher_feed(matcher, &state, text + at, n, BASE + at, &results, enough,
                           &taken) == 0);
        if (!CHECK(taken <= n && (taken == n || results.count >= enough)) ||
            !CHECK(taken > 0))
            break;
        check_results(&results, at, at + taken);
        at += taken;
        CHECK(matcher_depth(matcher, state) <= naive_depth(at));
        /* A beginning may be ruled out by bytes that were seen but not taken. */
        CHECK(taken < n || matcher_depth(matcher, state) == naive_depth(at));
    }
    results_free(&results);
}

static void check_nothing_missed(void)
{
    for (size_t at = 0; at < text_size; at++)
        for (size_t p = 0; p < count; p++)
            CHECK(seen[at][p] == matches(at, p));
}

static void check_summary(const struct matcher *matcher)
{
    size_t longest = 0, most_zeros = 0;
    bool all_zeros = false;

    for (size_t p = 0; p < count; p++) {
        size_t zeros = 0;

        while (zeros < patterns[p].size && patterns[p].bytes[zeros] == 0)
            zeros++;
        longest = patterns[p].size > longest ? patterns[p].size : longest;
        most_zeros = zeros > most_zeros ? zeros : most_zeros;
        all_zeros = all_zeros || zeros == patterns[p].size;
    }
    CHECK(matcher_longest(matcher) == longest);
    CHECK(matcher_zeros(matcher) == most_zeros);
    CHECK(matcher_has_zeros(matcher) == all_zeros);
}

static void finds_what_a_naive_search_finds(void)
{
    struct qvm_error err;

    for (check_case = 1; check_case <= CASES; check_case++) {
        struct matcher *matcher;

        random_case();
        matcher = matcher_new(patterns, count, &err);
        if (!CHECK(matcher))
            return;
        check_summary(matcher);
        feed_all(matcher);
        check_nothing_missed();
        matcher_free(matcher);
    }
}

int main(void)
{
    TEST(finds_what_a_naive_search_finds);
    return test_report();
}
