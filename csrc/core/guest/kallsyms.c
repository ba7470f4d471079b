/* Lookups. The symbols are sorted, so an address is found by binary search; names have a
 * hash index with chained buckets. A chain can be made as long as the table by a guest that
 * wants it, so a lookup is at worst a pass over the table.
 *
 * A name in the table, as scripts/kallsyms.c of Linux writes it, with tokens that serve as
 * an example:
 *
 *     token_table    ... "T"  "write_"  "m"  "r" ...
 *     byte                54   f7        6d   72         what stands for each
 *     names          04  54 f7 6d 72                     length, then so many bytes
 *     expanded       "Twrite_mr"                         type T, name write_mr
 *
 * From Linux 6.1 on a name may need two bytes for its length, the lower 7 bits first: ac 02
 * is 0x2c + (2 << 7) = 300. */
#include "guest/kallsyms.h"

#include <stdlib.h>
#include <string.h>

#define FACTOR UINT32_C(0x01000193)
#define NONE   UINT32_MAX /* no symbol */

/* powers[i] is FACTOR^i modulo 2^32, for the hash of names: see kallsyms.h. */
struct kallsyms *kallsyms_new(struct qvm_error *err)
{
    struct kallsyms *table = calloc(1, sizeof *table);

    if (!table) {
        qvm_fail_memory(err, "symbols");
        return NULL;
    }
    table->powers[0] = 1;
    for (size_t i = 1; i <= KALLSYMS_NAME_MAX; i++)
        table->powers[i] = table->powers[i - 1] * FACTOR;
    return table;
}

void kallsyms_free(struct kallsyms *table)
{
    if (!table)
        return;
    free(table->symbols);
    free(table->buckets);
    free(table->names);
    free(table);
}

/* Horner's rule. hash(ab) = hash(a) * FACTOR^|b| + hash(b), so the hash of a name follows
 * from the hashes of its tokens without its characters. */
static uint32_t hash_of(const char *text, size_t size)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < size; i++)
        hash = hash * FACTOR + (unsigned char)text[i];
    return hash;
}

void kallsyms_hash_token(struct kallsyms *table, unsigned token)
{
    struct kallsyms_token *one = &table->tokens[token];

    one->hash = hash_of(one->text, one->size);
    one->power = table->powers[one->size];
}

/* The letter of the type is the first character of the first token that is not empty. It
 * has the factor FACTOR^(size - 1), so a subtraction takes it out of the hash. All of it is
 * arithmetic modulo 2^32.
 *
 * The loop ends as soon as the size exceeds the maximum. */
size_t kallsyms_measure(const struct kallsyms *table, const unsigned char *bytes, size_t n,
                        uint32_t *hash)
{
    uint32_t all = 0, type = 0;
    size_t size = 0;

    for (size_t i = 0; i < n && size <= KALLSYMS_NAME_MAX; i++) {
        const struct kallsyms_token *token = &table->tokens[bytes[i]];

        if (size == 0 && token->size > 0)
            type = (unsigned char)token->text[0];
        all = all * token->power + token->hash;
        size += token->size;
    }
    *hash = 0;
    if (size > 0 && size <= KALLSYMS_NAME_MAX)
        *hash = all - type * table->powers[size - 1];
    return size;
}

/* Bit 7 of the first byte says that a second one follows. */
size_t kallsyms_length(const struct kallsyms *table, size_t *at)
{
    size_t length = 0;

    if (*at < table->names_size)
        length = table->names[(*at)++];
    if (length > 127)
        length = (length & 127) |
                 (*at < table->names_size ? (size_t)table->names[(*at)++] << 7 : 0);
    return length;
}

/* The reader has measured each name, so `at` and the length are within the table, and the
 * name fits with its letter. The check for room remains for safety. */
size_t kallsyms_name(const struct kallsyms *table, size_t at, char name[KALLSYMS_NAME_MAX])
{
    size_t length = kallsyms_length(table, &at), size = 0;
    bool is_type = true;

    for (const unsigned char *byte = table->names + at; length > 0; length--, byte++) {
        const struct kallsyms_token *token = &table->tokens[*byte];
        size_t skipped = is_type && token->size > 0;

        if (token->size - skipped > KALLSYMS_NAME_MAX - size)
            break;
        memcpy(name + size, token->text + skipped, token->size - skipped);
        size += token->size - skipped;
        is_type = is_type && !skipped;
    }
    return size;
}

/* Merges the sorted runs from `low` and `middle` on, which end at `middle` and `high`. Of
 * equal addresses those of the first run come first. */
static void merge(const struct kallsyms_symbol *from, struct kallsyms_symbol *to,
                  size_t low, size_t middle, size_t high)
{
    size_t left = low, right = middle;

    for (size_t i = low; i < high; i++) {
        bool takes_left =
            right == high || (left < middle && from[left].address <= from[right].address);

        to[i] = from[takes_left ? left++ : right++];
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_sorted(const struct kallsyms *table)
{
    for (size_t i = 1; i < table->count; i++)
        if (table->symbols[i - 1].address > table->symbols[i].address)
            return false;
    return true;
}

/* Merge sort: it is stable, and no order of the addresses makes it slow. Kernels write
 * their tables sorted. O(n log n) comparisons, with room for one more copy of the symbols.
 * Each round merges runs of `run` symbols in pairs, from one array to the other. The bounds
 * are cut at `count`, so the last run may be short or empty. */
static int sort(struct kallsyms *table, struct qvm_error *err)
{
    size_t count = table->count;
    struct kallsyms_symbol *from = table->symbols, *to, *sorted;

    if (is_sorted(table))
        return 0;
    to = malloc(count * sizeof *to);
    if (!to)
        return qvm_fail_memory(err, "symbols");
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t low = 0; low < count; low += 2 * run)
            merge(from, to, low, smaller(low + run, count), smaller(low + 2 * run, count));
        sorted = to;
        to = from;
        from = sorted;
    }
    table->symbols = from;
    free(to);
    return 0;
}

/* Chains the symbols of a bucket in ascending order. The number of buckets is a power of
 * two, at least that of the symbols. `next` has the hash of the name until the symbol is
 * put into its chain. Going from the last symbol to the first and putting each at the head
 * makes chains ascend, so a lookup finds the lowest address. */
static int make_buckets(struct kallsyms *table, struct qvm_error *err)
{
    size_t buckets = 1;

    while (buckets < table->count)
        buckets *= 2;
    table->buckets = malloc(buckets * sizeof *table->buckets);
    if (!table->buckets)
        return qvm_fail_memory(err, "symbols");
    table->bucket_mask = buckets - 1;
    memset(table->buckets, 0xff, buckets * sizeof *table->buckets); /* NONE */
    for (size_t i = table->count; i-- > 0;) {
        uint32_t *bucket = &table->buckets[table->symbols[i].next & table->bucket_mask];

        table->symbols[i].next = *bucket;
        *bucket = (uint32_t)i;
    }
    return 0;
}

static bool is_upper_half(uint64_t address)
{
    return address >> 63;
}

/* By the majority of its symbols the kernel is in the upper half, or not: some symbols of
 * an upper-half kernel are offsets of per-CPU variables, near 0. */
int kallsyms_finish(struct kallsyms *table, struct qvm_error *err)
{
    size_t upper = 0;

    for (size_t i = 0; i < table->count; i++)
        upper += is_upper_half(table->symbols[i].address);
    table->is_upper = upper >= table->count - upper;
    if (sort(table, err) != 0)
        return -1;
    return make_buckets(table, err);
}

/* The first symbol at or after an address; the number of symbols if there is none. */
static size_t first_from(const struct kallsyms *table, uint64_t address)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->symbols[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The table has no sizes. As in the kernel itself, a symbol ends where the next address
 * with a symbol begins; symbols at one address are aliases and have the same size. */
uint64_t kallsyms_size(const struct kallsyms *table, size_t index)
{
    uint64_t start = table->symbols[index].address;
    size_t next = start < UINT64_MAX ? first_from(table, start + 1) : table->count;

    return next < table->count ? table->symbols[next].address - start : 0;
}

/*     symbols     a,b      c          d
 *     address          ^
 *
 * first_from() gives c. The symbol before it is b, an alias of a, so a second search, for
 * the address of b, gives a. */
bool kallsyms_at(const struct kallsyms *table, uint64_t address,
                 struct kallsyms_place *place)
{
    size_t index = first_from(table, address);
    uint64_t start;

    if (index == table->count || table->symbols[index].address != address) {
        if (index == 0)
            return false;
        index = first_from(table, table->symbols[index - 1].address);
    }
    start = table->symbols[index].address;
    /* Offsets of per-CPU variables are in the lower half. */
    if (table->is_upper && !is_upper_half(start))
        return false;
    place->index = index;
    place->offset = (int64_t)(address - start);
    place->size = (int64_t)kallsyms_size(table, index);
    return place->offset >= 0 && place->offset < place->size;
}

/* Names are compared expanded, not compressed: the kernel's compression is not unique. */
bool kallsyms_address(const struct kallsyms *table, const char *name, size_t size,
                      uint64_t *address)
{
    char found[KALLSYMS_NAME_MAX];
    uint32_t i = table->buckets[hash_of(name, size) & table->bucket_mask];

    for (; i != NONE; i = table->symbols[i].next) {
        const struct kallsyms_symbol *symbol = &table->symbols[i];

        if (kallsyms_name(table, symbol->name, found) == size &&
            memcmp(found, name, size) == 0) {
            *address = symbol->address;
            return true;
        }
    }
    return false;
}
