#include "scan/results.h"

#include <stdlib.h>

int results_add(struct results *results, uint64_t a, uint64_t b)
{
    if (results->count == results->room) {
        size_t room = results->room ? 2 * results->room : 64;
        struct result *items = realloc(results->items, room * sizeof *items);

        if (!items)
            return -1;
        results->items = items;
        results->room = room;
    }
    results->items[results->count++] = (struct result){a, b};
    return 0;
}

void results_free(struct results *results)
{
    free(results->items);
    *results = (struct results){0};
}

static int compare(const void *left, const void *right)
{
    const struct result *x = left, *y = right;

    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

void results_sort(struct results *results)
{
    if (results->count > 1)
        qsort(results->items, results->count, sizeof *results->items, compare);
}
