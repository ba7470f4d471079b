/* The physical memory of a dump, as scans walk it. Its extents are those of the memory map,
 * divided at the holes of a sparse file: guests' memory is mostly zeros, and a scan that
 * asks the file system for the holes need not read them. */
#include "dump/dump_memory.h"

#include "dump/dump.h"
#include "util/bytes.h"
#include "util/limits.h"
#include "util/os.h"

/* A shorter hole is read like data: finding its end costs as much. */
enum { HOLE_MIN = LIMIT(64 << 10, 5 << 10) };

/* The rest of a memory run from `address` on; its bytes begin at a file offset.
 *
 *     file offset    offset ......... next ............ end
 *     kind           data or hole     the other         ask again
 *
 * A short hole counts as data up to its end, if the run goes on after it. In a compressed
 * file holes are not known, so all of it is data. */
static struct extent extent_in_file(const struct dump *dump, uint64_t offset,
                                    uint64_t address, uint64_t last)
{
    uint64_t end = offset + (last - address); /* inclusive, as the last address is */
    uint64_t next;
    bool hole;

    if (offset >= dump->file.size)
        return (struct extent){EXTENT_CUT, last};
    end = smaller_u64(end, dump->file.size - 1);
    if (dump->file.gzip)
        return (struct extent){EXTENT_DATA, address + (end - offset)};
    next = os_file_extent(dump->file.fd, offset, dump->file.size, &hole);
    if (hole && next - offset < HOLE_MIN && end >= next)
        hole = false;
    end = smaller_u64(end, next - 1);
    return (struct extent){hole ? EXTENT_ZEROS : EXTENT_DATA, address + (end - offset)};
}

/* What the map has at an address. The answer to a gap is the start of the next run. A short
 * run of zeros counts as data, too: filling a buffer costs less than one more unit of a
 * scan. */
static struct extent extent_at(const struct dump *dump, uint64_t address, uint64_t last)
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
    return extent_in_file(dump, run->offset + (address - run->first), address, last);
}

static int extent(struct memory *memory, uint64_t address, uint64_t last,
                  struct extent *found, struct qvm_error *err)
{
    (void)err;
    *found = extent_at((const struct dump *)memory, address, last);
    return 0;
}

static int read(struct memory *memory, uint64_t address, void *to, size_t n,
                struct qvm_error *err)
{
    return dump_read((const struct dump *)memory, address, to, n, err);
}

static int read_direct(struct memory *memory, uint64_t address, void *to, size_t n,
                       struct qvm_error *err)
{
    return dump_read_direct((const struct dump *)memory, address, to, n, err);
}

static uint64_t total(const struct memory *memory, uint64_t first, uint64_t last)
{
    return dump_memory_total((const struct dump *)memory, first, last);
}

const struct memory_ops dump_memory_ops = {
    .extent = extent, .read = read, .read_direct = read_direct, .total = total};

/* The map is limited to fewer than 2^63 bytes, so the sum cannot wrap. */
uint64_t dump_memory_total(const struct dump *dump, uint64_t first, uint64_t last)
{
    const struct memory_map *map = &dump->map;
    uint64_t bytes = 0;

    for (size_t i = memory_map_find(map, first); i < map->count; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t from = run->first > first ? run->first : first;

        if (run->first > last)
            break;
        bytes += smaller_u64(run->last, last) - from + 1;
    }
    return bytes;
}
