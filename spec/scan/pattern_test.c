/* Compares the pattern matcher with a search that tries the pattern at every offset. The
 * random texts use few different bytes, so that matches overlap. Each text is fed in chunks
 * of random sizes, with random limits on the matches of one call. */
#include "scan/pattern.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { CASES = 4000, TEXT_MAX = 1500, SIZE_MAX_HERE = 90 };

#define BASE UINT64_C(0xffffffffffff0000) /* the address of the text's first byte */

static unsigned char text[TEXT_MAX], stored[SIZE_MAX_HERE];
static size_t text_size, size;
static bool seen[TEXT_MAX];

static void random_bytes(unsigned char *bytes, size_t n, unsigned letters)
{
    static const unsigned char alphabet[] = {0, 'a', 0xff, 0x48, 'Q'};

    for (size_t i = 0; i < n; i++)
        bytes[i] = alphabet[check_random(letters)];
}

/* Most patterns are short. Some are copied from the text, so that long ones match. */
static void random_pattern(unsigned letters)
{
    size = 1 + check_random(check_random(3) == 0 ? SIZE_MAX_HERE : 6);
    if (check_random(2) == 0 && size <= text_size)
        memcpy(stored, text + check_random(text_size - size + 1), size);
    else
        random_bytes(stored, size, letters);
}

static void random_case(void)
{
    unsigned letters = 1 + (unsigned)check_random(5);

    text_size = check_random(TEXT_MAX + 1);
    random_bytes(text, text_size, letters);
    if (check_random(2) == 0) /* long runs that the filter skips */
        memset(text, 'x', text_size - text_size / 8);
    random_pattern(letters);
    memset(seen, 0, sizeof seen);
}

static bool matches(size_t at)
{
    return size <= text_size - at && memcmp(text + at, stored, size) == 0;
}

/* Length of the longest suffix of the first n bytes that is a prefix of the pattern. */
static size_t naive_depth(size_t n)
{
    for (size_t depth = n < size ? n : size; depth > 0; depth--)
        if (memcmp(text + n - depth, stored, depth) == 0)
            return depth;
    return 0;
}

/* Each reported match is a match, ends within the bytes from first to last, and is reported
 * once. */
static void check_found(const struct found *found, size_t first, size_t last)
{
    size_t end_before = first;

    for (size_t i = 0; i < found->count; i++) {
        uint64_t at = found->ranges[i].first - BASE;
        size_t end;

        if (!CHECK(at < text_size) || !CHECK(matches(at)))
            return;
        end = at + size;
        CHECK(found->ranges[i].last == BASE + end - 1);
        CHECK(end > first && end <= last && end >= end_before);
        CHECK(!seen[at]);
        seen[at] = true;
        end_before = end;
    }
}

static void feed_all(const struct pattern *pattern)
{
    struct found found = {0};
    size_t at = 0, depth = 0;

    while (at < text_size) {
        size_t n = 1 + check_random(check_random(2) ? text_size - at : 9), taken = 0;
        size_t enough = check_random(2) ? SIZE_MAX : 1 + check_random(4);

        if (n > text_size - at)
            n = text_size - at;
        found.count = 0;
        CHECK(pattern_feed(pattern, &depth, text + at, n, BASE + at, &found, enough,
                           &taken) == 0);
        if (!CHECK(taken <= n && (taken == n || found.count >= enough)) ||
            !CHECK(taken > 0))
            break;
        check_found(&found, at, at + taken);
        at += taken;
        CHECK(depth <= naive_depth(at));
        /* Bytes that were seen but not taken may rule out a prefix. */
        CHECK(taken < n || depth == naive_depth(at));
    }
    found_free(&found);
}

static void check_nothing_missed(void)
{
    for (size_t at = 0; at < text_size; at++)
        CHECK(seen[at] == matches(at));
}

static void check_zeros(const struct pattern *pattern)
{
    size_t zeros = 0;

    while (zeros < size && stored[zeros] == 0)
        zeros++;
    CHECK(pattern->zeros == zeros);
}

static void finds_what_a_naive_search_finds(void)
{
    struct qvm_error err;

    for (check_case = 1; check_case <= CASES; check_case++) {
        struct pattern pattern;

        random_case();
        if (!CHECK(pattern_init(&pattern, stored, size, &err) == 0))
            return;
        check_zeros(&pattern);
        feed_all(&pattern);
        check_nothing_missed();
        pattern_free(&pattern);
    }
}

int main(void)
{
    TEST(finds_what_a_naive_search_finds);
    return test_report();
}
