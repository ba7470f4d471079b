/* Two parts take turns. The filter skips what cannot be the beginning of an occurrence, a
 * block at a time: the two rarest bytes of the pattern must be where the pattern has them.
 * Where it stops, the automaton of Knuth, Morris and Pratt goes on byte by byte. Its state,
 * the depth, is the length of the longest beginning of the pattern that the stream ends
 * with. When that is 0 the filter resumes.
 *
 * Memory that looks like the pattern almost everywhere would make the filter stop at every
 * byte, so the automaton goes on for a while before the filter has another try.
 *
 * For the pattern "abcabd" the automaton and its borders are
 *
 *     depth d     0 1 2 3 4 5 6
 *     border[d]   0 0 0 0 1 2 0
 *
 *     stream      a b c a b c a b d
 *     depth       1 2 3 4 5 3 4 5 6      the second c: from 5 to border[5] = 2, to 3
 *
 * The depth survives the end of a buffer, so an occurrence may lie across any number of
 * reads, and no bytes are carried over. */
#include "scan/pattern.h"

#include "util/limits.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64,      /* bytes that the filter looks at together */
    PAIR_REACH = 64, /* its two bytes are among the pattern's first so many */
    PATIENCE =
        LIMIT(256, 16) /* bytes that the automaton takes before the filter has a try */
};

/* border[d]: of the pattern's first d bytes, how many at the end equal as many at the
 * beginning, all d excepted: the depth that remains when the byte after them differs.
 * Linear in the size: each byte adds at most 1 to the depth, and each round of the inner
 * loop takes at least 1 away. border[d] < d for d > 0, so the loop ends. */
static void fill_borders(struct pattern *pattern)
{
    uint32_t depth = 0;

    pattern->border[0] = pattern->border[1] = 0;
    for (size_t i = 1; i < pattern->size; i++) {
        while (depth > 0 && pattern->bytes[i] != pattern->bytes[depth])
            depth = pattern->border[depth];
        if (pattern->bytes[i] == pattern->bytes[depth])
            depth++;
        pattern->border[i + 1] = depth;
    }
}

/* How common a byte is in the memory of guests, roughly: what is not named is rare. */
static unsigned commonness(unsigned char byte)
{
    if (byte == 0)
        return 9;
    if (byte == 0xff)
        return 8;
    if (byte == ' ' || (byte >= 'a' && byte <= 'z') || byte < 0x10)
        return 5;
    if (byte == 0x48 || byte == 0x8b || byte == 0x89 || byte == 0xf9 || byte == 0xaa)
        return 4; /* in most instructions, of x86_64 or aarch64 */
    return byte < 0x80 ? 3 : 2;
}

/* The two rarest bytes among the first PAIR_REACH, at different places. Of equally rare
 * ones the first wins. A pattern of one byte has that byte twice. With a wrong guess the
 * search is slower and as exact. */
static void choose_pair(struct pattern *pattern)
{
    const unsigned char *bytes = pattern->bytes;
    size_t reach = pattern->size < PAIR_REACH ? pattern->size : PAIR_REACH;
    size_t first = 0, second;

    for (size_t i = 1; i < reach; i++)
        if (commonness(bytes[i]) < commonness(bytes[first]))
            first = i;
    second = first == 0 && reach > 1 ? 1 : 0;
    for (size_t i = 0; i < reach; i++)
        if (i != first && commonness(bytes[i]) < commonness(bytes[second]))
            second = i;
    pattern->first = bytes[first];
    pattern->second = bytes[second];
    pattern->first_at = (unsigned)first;
    pattern->second_at = (unsigned)second;
}

int pattern_init(struct pattern *pattern, const void *bytes, size_t size,
                 struct qvm_error *err)
{
    *pattern = (struct pattern){.size = size};
    pattern->bytes = malloc(size);
    pattern->border = malloc((size + 1) * sizeof *pattern->border);
    if (!pattern->bytes || !pattern->border) {
        pattern_free(pattern);
        return qvm_fail_memory(err, "pattern");
    }
    memcpy(pattern->bytes, bytes, size);
    while (pattern->zeros < size && pattern->bytes[pattern->zeros] == 0)
        pattern->zeros++;
    fill_borders(pattern);
    choose_pair(pattern);
    return 0;
}

void pattern_free(struct pattern *pattern)
{
    free(pattern->bytes);
    free(pattern->border);
    pattern->bytes = NULL;
    pattern->border = NULL;
}

/* Is the pair at any of BLOCK offsets? Written for the compiler's vectors. No branch in the
 * loop and one result at the end: that is what a compiler turns into vector instructions.
 * It reads up to PAIR_REACH - 1 bytes past the block; filter() leaves room for them. */
static bool block_has(const unsigned char *bytes, const struct pattern *pattern)
{
    const unsigned char *first = bytes + pattern->first_at;
    const unsigned char *second = bytes + pattern->second_at;
    unsigned char found = 0;

    for (int i = 0; i < BLOCK; i++)
        found |=
            (unsigned char)((first[i] == pattern->first) & (second[i] == pattern->second));
    return found != 0;
}

/* The first offset from i on where an occurrence may begin; the offset from which on the
 * filter cannot say, because it would have to look past the bytes. It may pass over a
 * beginning only where the whole pair was looked at, so the last `reach` bytes always go to
 * the automaton. */
static size_t filter(const struct pattern *pattern, const unsigned char *bytes, size_t i,
                     size_t n)
{
    size_t reach =
        pattern->first_at > pattern->second_at ? pattern->first_at : pattern->second_at;
    size_t end = n > reach + BLOCK ? n - reach - BLOCK : 0;

    while (i < end && !block_has(bytes + i, pattern))
        i += BLOCK;
    while (i < n && n - i > reach &&
           (bytes[i + pattern->first_at] != pattern->first ||
            bytes[i + pattern->second_at] != pattern->second))
        i++;
    return i;
}

/* After an occurrence, the depth first falls to the pattern's border: that is where an
 * overlapping one may have begun. */
static size_t step(const struct pattern *pattern, size_t depth, unsigned char byte)
{
    if (depth == pattern->size)
        depth = pattern->border[depth];
    while (depth > 0 && pattern->bytes[depth] != byte)
        depth = pattern->border[depth];
    return pattern->bytes[depth] == byte ? depth + 1 : 0;
}

/* The automaton over bytes[i...], until no beginning of an occurrence is left, for a while,
 * or until there are enough occurrences. A hostile memory, such as the pattern's first byte
 * repeated, stops the filter at each byte. The automaton then takes PATIENCE bytes for each
 * try, so trying costs at most a constant share. Twice the depth more, since the filter may
 * look at `depth` bytes again. */
static int run(const struct pattern *pattern, size_t *depth, const unsigned char *bytes,
               size_t *i, size_t n, uint64_t address, struct found *found, size_t enough)
{
    size_t patience = PATIENCE + 2 * *depth;
    size_t stop = n - *i > patience ? *i + patience : n;

    while (*i < stop && found->count < enough) {
        uint64_t last = address + *i;

        *depth = step(pattern, *depth, bytes[*i]);
        if (*depth == pattern->size &&
            found_add(found, last - (pattern->size - 1), last) != 0)
            return -1;
        ++*i;
        if (*depth == 0)
            break;
    }
    return 0;
}

/* Filter and automaton in turn. On return *depth is the state after `taken` bytes, so the
 * next bytes of the stream follow on. */
int pattern_feed(const struct pattern *pattern, size_t *depth, const unsigned char *bytes,
                 size_t n, uint64_t address, struct found *found, size_t enough,
                 size_t *taken)
{
    size_t i = 0, next;

    while (i < n && found->count < enough) {
        /* What has begun may be looked at by the filter again, from its beginning, unless
         * that was in earlier bytes. */
        if (*depth <= i && *depth < pattern->size) {
            next = filter(pattern, bytes, i - *depth, n);
            if (next > i - *depth) {
                *depth = 0;
                i = next;
            }
        }
        if (run(pattern, depth, bytes, &i, n, address, found, enough) != 0)
            return -1;
    }
    *taken = i;
    return 0;
}
