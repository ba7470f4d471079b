/*
 * Writes the guest's memory, page by page. Most pages are zero: next_page() skips to the
 * next page with loaded bytes or with the simulator's pattern, so that a large VM costs
 * little.
 */
#include "dump/memory.h"

#include "dump/sink.h"

#include <string.h>

enum { TOUCHED_AT_BASE = 64 << 10, TOUCHED_EVERY = 16 << 20, NUMBER_OFFSET = 0x100 };

struct area {
    const struct conf *conf;
    size_t block;
    uint64_t number; /* of the dump */
    uint64_t base;
    size_t extent; /* index of the first extent that ends at or after the current address */
};

/* Whether the page at an offset of a block has the pattern. */
static bool is_touched(uint64_t offset)
{
    return offset < TOUCHED_AT_BASE || offset % TOUCHED_EVERY < CONF_PAGE;
}

/* Writes a label and the dump's number over the pattern. */
static void put_label(const char *system, uint64_t number, unsigned char *page)
{
    struct text label = {0};

    text_string(&label, "simulated guest ");
    text_string(&label, system);
    size_t length = label.length < NUMBER_OFFSET ? label.length : NUMBER_OFFSET - 1;
    if (!label.failed) {
        memcpy(page, label.data, length);
        page[length] = '\0';
    }
    text_free(&label);
    (void)put_u64(page + NUMBER_OFFSET, number);
}

/* Fills a page as it is where nothing is loaded. */
static void put_own(const struct area *area, uint64_t offset, unsigned char *page)
{
    unsigned char *at = page;

    memset(page, 0, CONF_PAGE);
    for (unsigned i = 0; is_touched(offset) && i < CONF_PAGE; i += 8)
        at = put_u64(at, area->base + offset + i);
    if (area->block == 0 && offset == 0)
        put_label(area->conf->system, area->number, page);
}

/* Copies the part of an extent that lies in the page at `address`. Returns 0, or an errno
   value. */
static int put_extent(const struct loads *loads, const struct extent *extent,
                      uint64_t address, unsigned char *page)
{
    size_t start = extent->address > address ? (size_t)(extent->address - address) : 0;
    uint64_t skipped = extent->address > address ? 0 : address - extent->address;
    uint64_t rest = extent->size - skipped;
    size_t room = CONF_PAGE - start;
    size_t size = rest < room ? (size_t)rest : room;
    uint64_t filled = extent->filled > skipped ? extent->filled - skipped : 0;
    size_t from_file = filled < size ? (size_t)filled : size;

    memset(page + start + from_file, 0, size - from_file);
    return loads_read(loads, extent, skipped, page + start, from_file);
}

static void write_page(const struct area *area, uint64_t offset, struct sink *sink)
{
    static const unsigned char zeros[CONF_PAGE];
    const struct loads *loads = &area->conf->loads;
    uint64_t address = area->base + offset;
    unsigned char page[CONF_PAGE];
    int error = 0;

    put_own(area, offset, page);
    for (size_t i = area->extent; i < loads->extent_count && !error; i++) {
        if (loads->extents[i].address > address + (CONF_PAGE - 1))
            break;
        error = put_extent(loads, &loads->extents[i], address, page);
    }
    if (error && !sink->error)
        sink->error = error;
    if (memcmp(page, zeros, CONF_PAGE) == 0)
        sink_zeros(sink, CONF_PAGE);
    else
        sink_bytes(sink, page, CONF_PAGE);
}

/* The offset of the next page, from `offset` on, that may not be zero. */
static uint64_t next_page(struct area *area, uint64_t offset)
{
    const struct loads *loads = &area->conf->loads;
    uint64_t next = offset;

    if (!is_touched(offset))
        next += TOUCHED_EVERY - offset % TOUCHED_EVERY;
    area->extent = loads_from(loads, area->extent, area->base + offset);
    if (area->extent == loads->extent_count)
        return next;
    uint64_t start = loads->extents[area->extent].address;
    if (start <= area->base + offset)
        return offset;
    start = (start - area->base) / CONF_PAGE * CONF_PAGE;
    return start < next ? start : next;
}

/* Copies a block of a guest's memory. */
static void copy_guest(const struct vm *vm, const struct ram *ram, struct sink *sink)
{
    static const unsigned char zeros[CONF_PAGE];
    unsigned char bytes[16 * CONF_PAGE];

    for (uint64_t offset = 0; offset < ram->size && !sink->error;) {
        uint64_t left = ram->size - offset;
        size_t size = left < sizeof bytes ? (size_t)left : sizeof bytes;
        int error = vm_read(vm, ram->base + offset, bytes, size);
        if (error && !sink->error)
            sink->error = error;
        for (size_t at = 0; at < size; at += CONF_PAGE) {
            if (memcmp(bytes + at, zeros, CONF_PAGE) == 0)
                sink_zeros(sink, CONF_PAGE);
            else
                sink_bytes(sink, bytes + at, CONF_PAGE);
        }
        offset += size;
    }
}

static void write_pattern(const struct vm *vm, size_t block, uint64_t number,
                          struct sink *sink)
{
    const struct conf *conf = vm->conf;
    uint64_t size = conf_memory_size(conf, block);
    struct area area = {conf, block, number, conf->ram[block].base, 0};
    uint64_t offset = 0;

    while (offset < size && !sink->error) {
        uint64_t next = next_page(&area, offset);
        next = next < size ? next : size;
        if (next > offset) {
            sink_zeros(sink, next - offset);
            offset = next;
        } else {
            write_page(&area, offset, sink);
            offset += CONF_PAGE;
        }
    }
}

void memory_write(const struct vm *vm, size_t block, uint64_t number, struct sink *sink)
{
    if (vm_has_guest(vm))
        copy_guest(vm, &vm->conf->ram[block], sink);
    else
        write_pattern(vm, block, number, sink);
}
