#include "dump/extent.h"

#include "util/bytes.h"
#include "util/os.h"

/* A shorter hole is read like data: finding its ends costs as much. */
enum { HOLE_MIN = 64 << 10 };

/* The rest of a piece from an address in it, the file's data of which begins at an
 * offset. */
static struct span within(const struct dump *dump, uint64_t offset, uint64_t address,
                          uint64_t last)
{
    uint64_t end = offset + (last - address); /* inclusive, as the last address is */
    uint64_t same;
    bool hole;

    if (offset >= dump->file.size)
        return (struct span){SPAN_CUT, last};
    end = smaller_u64(end, dump->file.size - 1);
    if (dump->file.gzip)
        return (struct span){SPAN_DATA, address + (end - offset)};
    same = os_file_extent(dump->file.fd, offset, dump->file.size, &hole);
    if (hole && same - offset < HOLE_MIN && end >= same)
        return (struct span){SPAN_DATA, address + (same - 1 - offset)};
    end = smaller_u64(end, same - 1);
    return (struct span){hole ? SPAN_ZEROS : SPAN_DATA, address + (end - offset)};
}

struct span span_at(const struct dump *dump, uint64_t address, uint64_t last)
{
    const struct ranges *ranges = &dump->ranges;
    size_t i = ranges_find(ranges, address);
    const struct piece *piece = &ranges->pieces[i];

    if (i == ranges->count)
        return (struct span){SPAN_NONE, last};
    if (piece->first > address)
        return (struct span){SPAN_NONE, smaller_u64(last, piece->first - 1)};
    last = smaller_u64(last, piece->last);
    if (piece->offset == PIECE_ZEROS)
        return (struct span){last - address < HOLE_MIN ? SPAN_DATA : SPAN_ZEROS, last};
    return within(dump, piece->offset + (address - piece->first), address, last);
}

uint64_t span_total(const struct dump *dump, uint64_t first, uint64_t last)
{
    const struct ranges *ranges = &dump->ranges;
    uint64_t total = 0;

    for (size_t i = ranges_find(ranges, first); i < ranges->count; i++) {
        const struct piece *piece = &ranges->pieces[i];
        uint64_t from = piece->first > first ? piece->first : first;

        if (piece->first > last)
            break;
        total += smaller_u64(piece->last, last) - from + 1;
    }
    return total;
}
