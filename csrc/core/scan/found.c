#include "scan/found.h"

#include <stdlib.h>

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
