/* An extent is at most a run of the memory map, and within a run at most a hole or a
 * stretch of data of the file. The file system knows these (os_file_extent) unless the file
 * is compressed: then the data's offsets are not the file's, and all of it is data. */
#include "dump/extent.h"

#include "util/bytes.h"
#include "util/os.h"

/* A shorter hole is read like data: finding its end costs as much. */
enum { HOLE_MIN = 64 << 10 };

/* The extent of memory whose bytes are at an offset of the file. */
static struct extent in_file(const struct dump *dump, uint64_t offset, uint64_t address,
                             uint64_t last)
{
    uint64_t end = offset + (last - address); /* inclusive, as the last address is */
    uint64_t run_end;
    bool hole;

    if (offset >= dump->file.size)
        return (struct extent){EXTENT_CUT, last};
    end = smaller_u64(end, dump->file.size - 1);
    if (dump->file.gzip)
        return (struct extent){EXTENT_DATA, address + (end - offset)};
    run_end = os_file_extent(dump->file.fd, offset, dump->file.size, &hole);
    if (hole && run_end - offset < HOLE_MIN && end >= run_end)
        return (struct extent){EXTENT_DATA, address + (run_end - 1 - offset)};
    end = smaller_u64(end, run_end - 1);
    return (struct extent){hole ? EXTENT_ZEROS : EXTENT_DATA, address + (end - offset)};
}

struct extent extent_at(const struct dump *dump, uint64_t address, uint64_t last)
{
    const struct memory_map *map = &dump->map;
    size_t i = memory_map_find(map, address);
    const struct memory_run *run = &map->runs[i];

    if (i == map->count)
        return (struct extent){EXTENT_NONE, last};
    if (run->first > address)
        return (struct extent){EXTENT_NONE, smaller_u64(last, run->first - 1)};
    last = smaller_u64(last, run->last);
    if (run->offset == RUN_ZEROS)
        return (struct extent){last - address < HOLE_MIN ? EXTENT_DATA : EXTENT_ZEROS,
                               last};
    return in_file(dump, run->offset + (address - run->first), address, last);
}

uint64_t extent_total(const struct dump *dump, uint64_t first, uint64_t last)
{
    const struct memory_map *map = &dump->map;
    uint64_t total = 0;

    for (size_t i = memory_map_find(map, first); i < map->count; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t from = run->first > first ? run->first : first;

        if (run->first > last)
            break;
        total += smaller_u64(run->last, last) - from + 1;
    }
    return total;
}
