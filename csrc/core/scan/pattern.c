/* Two parts that take turns. The filter skips what cannot be the beginning of a match, a
 * block at a time: two bytes of each pattern, the rarest, must be where the pattern has
 * them. From where it stops, an automaton (Aho and Corasick's, with a trie whose root alone
 * has a table) goes on byte by byte until no beginning of a match is left. */
#include "scan/pattern.h"

#include "util/bytes.h"
#include "util/limits.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 64,      /* bytes that the filter looks at together */
    PAIR_REACH = 64, /* its two bytes are among a pattern's first so many */
    PAIRS_MAX = 8,   /* with more patterns than this, the automaton alone is faster */
    /* bytes that the automaton goes on before the filter has a try */
    PATIENCE = LIMIT(256, 16)
};

struct node {
    matcher_state child, sibling; /* the first of those a byte further; 0: none */
    matcher_state fail;           /* the longest end of this that is in the trie as well */
    matcher_state ends; /* the nearest along `fail`, or this, where patterns end */
    uint32_t depth;
    uint32_t pattern; /* the last that ends right here, and `same` goes on; NONE */
    unsigned char byte;
};

struct pair {
    unsigned char first, second;
    unsigned first_at, second_at;
};

struct matcher {
    struct node *nodes; /* 0 is the root */
    size_t count;
    matcher_state root[256];
    uint32_t *same; /* by pattern: another one of the same bytes; NONE */
    size_t longest;
    size_t zeros; /* see matcher_zeros */
    bool all_zeros;
    struct pair pairs[PAIRS_MAX];
    unsigned pair_count; /* 0: no filter */
    unsigned pair_reach; /* the farthest byte that a pair looks at */
};

#define NONE UINT32_MAX

static matcher_state child_of(const struct matcher *matcher, matcher_state state,
                              unsigned char byte)
{
    if (state == 0)
        return matcher->root[byte];
    state = matcher->nodes[state].child;
    while (state && matcher->nodes[state].byte != byte)
        state = matcher->nodes[state].sibling;
    return state;
}

static matcher_state add_child(struct matcher *matcher, matcher_state parent,
                               unsigned char byte)
{
    matcher_state state = (matcher_state)matcher->count++;

    matcher->nodes[state] = (struct node){.sibling = matcher->nodes[parent].child,
                                          .depth = matcher->nodes[parent].depth + 1,
                                          .pattern = NONE,
                                          .byte = byte};
    matcher->nodes[parent].child = state;
    if (parent == 0)
        matcher->root[byte] = state;
    return state;
}

static void add_pattern(struct matcher *matcher, const struct pattern *pattern,
                        uint32_t index)
{
    matcher_state state = 0;

    for (size_t i = 0; i < pattern->size; i++) {
        matcher_state next = child_of(matcher, state, pattern->bytes[i]);

        state = next ? next : add_child(matcher, state, pattern->bytes[i]);
    }
    matcher->same[index] = matcher->nodes[state].pattern;
    matcher->nodes[state].pattern = index;
}

static matcher_state step(const struct matcher *matcher, matcher_state state,
                          unsigned char byte)
{
    matcher_state next;

    while ((next = child_of(matcher, state, byte)) == 0 && state != 0)
        state = matcher->nodes[state].fail;
    return next;
}

static void link_node(struct matcher *matcher, matcher_state parent, matcher_state state)
{
    struct node *node = &matcher->nodes[state];

    node->fail = parent ? step(matcher, matcher->nodes[parent].fail, node->byte) : 0;
    node->ends = node->pattern != NONE ? state : matcher->nodes[node->fail].ends;
}

/* Sets `fail` and `ends`, from the root outwards. 0, or -1: out of memory. */
static int link_nodes(struct matcher *matcher)
{
    matcher_state *queue = malloc(matcher->count * sizeof *queue);
    size_t first = 0, last = 1;

    if (!queue)
        return -1;
    queue[0] = 0;
    while (first < last) {
        matcher_state parent = queue[first++];

        for (matcher_state s = matcher->nodes[parent].child; s;
             s = matcher->nodes[s].sibling) {
            link_node(matcher, parent, s);
            queue[last++] = s;
        }
    }
    free(queue);
    return 0;
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
        return 4;
    return byte < 0x80 ? 3 : 2;
}

static struct pair choose_pair(const struct pattern *pattern)
{
    size_t reach = pattern->size < PAIR_REACH ? pattern->size : PAIR_REACH;
    size_t first = 0, second;

    for (size_t i = 1; i < reach; i++)
        if (commonness(pattern->bytes[i]) < commonness(pattern->bytes[first]))
            first = i;
    second = first == 0 && reach > 1 ? 1 : 0;
    for (size_t i = 0; i < reach; i++)
        if (i != first &&
            commonness(pattern->bytes[i]) < commonness(pattern->bytes[second]))
            second = i;
    return (struct pair){.first = pattern->bytes[first],
                         .second = pattern->bytes[second],
                         .first_at = (unsigned)first,
                         .second_at = (unsigned)second};
}

static void choose_pairs(struct matcher *matcher, const struct pattern *patterns,
                         size_t count)
{
    if (count > PAIRS_MAX)
        return;
    for (size_t i = 0; i < count; i++) {
        struct pair pair = choose_pair(&patterns[i]);

        matcher->pairs[i] = pair;
        if (pair.first_at > matcher->pair_reach)
            matcher->pair_reach = pair.first_at;
        if (pair.second_at > matcher->pair_reach)
            matcher->pair_reach = pair.second_at;
    }
    matcher->pair_count = (unsigned)count;
}

static size_t leading_zeros(const struct pattern *pattern)
{
    size_t n = 0;

    while (n < pattern->size && pattern->bytes[n] == 0)
        n++;
    return n;
}

static int build(struct matcher *matcher, const struct pattern *patterns, size_t count)
{
    size_t nodes = 1;

    for (size_t i = 0; i < count; i++) {
        nodes += patterns[i].size;
        if (patterns[i].size > matcher->longest)
            matcher->longest = patterns[i].size;
        if (leading_zeros(&patterns[i]) > matcher->zeros)
            matcher->zeros = leading_zeros(&patterns[i]);
        matcher->all_zeros =
            matcher->all_zeros || leading_zeros(&patterns[i]) == patterns[i].size;
    }
    matcher->nodes = malloc(nodes * sizeof *matcher->nodes);
    matcher->same = malloc((count + 1) * sizeof *matcher->same);
    if (!matcher->nodes || !matcher->same)
        return -1;
    matcher->nodes[0] = (struct node){.pattern = NONE};
    matcher->count = 1;
    for (size_t i = 0; i < count; i++)
        add_pattern(matcher, &patterns[i], (uint32_t)i);
    choose_pairs(matcher, patterns, count);
    return link_nodes(matcher);
}

struct matcher *matcher_new(const struct pattern *patterns, size_t count,
                            struct qvm_error *err)
{
    struct matcher *matcher = calloc(1, sizeof *matcher);

    if (matcher && build(matcher, patterns, count) == 0)
        return matcher;
    if (matcher)
        matcher_free(matcher);
    qvm_fail_memory(err, "patterns");
    return NULL;
}

void matcher_free(struct matcher *matcher)
{
    free(matcher->nodes);
    free(matcher->same);
    free(matcher);
}

size_t matcher_longest(const struct matcher *matcher)
{
    return matcher->longest;
}

size_t matcher_zeros(const struct matcher *matcher)
{
    return matcher->zeros;
}

bool matcher_has_zeros(const struct matcher *matcher)
{
    return matcher->all_zeros;
}

size_t matcher_depth(const struct matcher *matcher, matcher_state state)
{
    return matcher->nodes[state].depth;
}

/* Does any of BLOCK places have the pair? Written for the compiler's vectors. */
static bool block_has(const unsigned char *bytes, const struct pair *pair)
{
    const unsigned char *first = bytes + pair->first_at, *second = bytes + pair->second_at;
    unsigned char found = 0;

    for (int i = 0; i < BLOCK; i++)
        found |= (unsigned char)((first[i] == pair->first) & (second[i] == pair->second));
    return found != 0;
}

static bool place_has(const unsigned char *bytes, const struct pair *pair)
{
    return bytes[pair->first_at] == pair->first && bytes[pair->second_at] == pair->second;
}

/* The first place from i on where a match may begin; where the filter cannot tell, because
 * it would have to look behind the bytes, that place. */
static size_t filter(const struct matcher *matcher, const unsigned char *bytes, size_t i,
                     size_t n)
{
    size_t end = n > matcher->pair_reach + BLOCK ? n - matcher->pair_reach - BLOCK : 0;

    for (; i < end; i += BLOCK)
        for (unsigned p = 0; p < matcher->pair_count; p++)
            if (block_has(bytes + i, &matcher->pairs[p]))
                goto found;
found:
    for (; i < n && n - i > matcher->pair_reach; i++)
        for (unsigned p = 0; p < matcher->pair_count; p++)
            if (place_has(bytes + i, &matcher->pairs[p]))
                return i;
    return i;
}

static int emit(const struct matcher *matcher, matcher_state state, uint64_t end,
                struct results *results)
{
    for (state = matcher->nodes[state].ends; state;
         state = matcher->nodes[matcher->nodes[state].fail].ends) {
        const struct node *node = &matcher->nodes[state];

        for (uint32_t p = node->pattern; p != NONE; p = matcher->same[p])
            if (results_add(results, end - (node->depth - 1), p) != 0)
                return -1;
    }
    return 0;
}

/* The automaton over bytes[i...], until no beginning of a match is left, for a while, or
 * until there are enough results. */
static int run(const struct matcher *matcher, matcher_state *state,
               const unsigned char *bytes, size_t *i, size_t n, uint64_t address,
               struct results *results, size_t enough)
{
    size_t depth = matcher_depth(matcher, *state), patience = PATIENCE + 2 * depth;
    size_t stop = n - *i > patience ? *i + patience : n;

    while (*i < stop && results->count < enough) {
        *state = step(matcher, *state, bytes[*i]);
        if (matcher->nodes[*state].ends &&
            emit(matcher, *state, address + *i, results) != 0)
            return -1;
        ++*i;
        if (*state == 0 && matcher->pair_count)
            break;
    }
    return 0;
}

int matcher_feed(const struct matcher *matcher, matcher_state *state,
                 const unsigned char *bytes, size_t n, uint64_t address,
                 struct results *results, size_t enough, size_t *taken)
{
    size_t i = 0, depth, next;

    while (i < n && results->count < enough) {
        depth = matcher_depth(matcher, *state);
        /* With one pattern, where a match has begun but not ended nothing was found yet:
         * the filter may look at it from its beginning. */
        if (matcher->pair_count && depth <= i && (depth == 0 || matcher->pair_count == 1)) {
            next = filter(matcher, bytes, i - depth, n);
            if (next > i - depth) {
                *state = 0;
                i = next;
            }
        }
        if (run(matcher, state, bytes, &i, n, address, results, enough) != 0)
            return -1;
    }
    *taken = i;
    return 0;
}
