/* An array that doubles when it is full. Its memory is kept for the next unit. */
#include "scan/found.h"

#include <stdlib.h>

/* Amortised constant time. A unit stops at SCAN_FOUND, so 2 * room does not overflow. */
int found_add(struct found *found, uint64_t first, uint64_t last)
{
    if (found->count == found->room) {
        size_t room = found->room ? 2 * found->room : 64;
        struct range *ranges = realloc(found->ranges, room * sizeof *ranges);

        if (!ranges)
            return -1;
        found->ranges = ranges;
        found->room = room;
    }
    found->ranges[found->count++] = (struct range){first, last};
    return 0;
}

void found_free(struct found *found)
{
    free(found->ranges);
    *found = (struct found){0};
}
