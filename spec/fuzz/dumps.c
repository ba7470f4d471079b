#include "dumps.h"

#include "dump/dump_memory.h"
#include "dump/format.h"

#include <string.h>
#include <zlib.h>

enum { HEADER = 64, ENTRY = 56, SEGMENTS_MAX = 64 };

static void put(unsigned char *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

const char *fuzz_dump(unsigned file, uint16_t machine, const struct fuzz_segment *segments,
                      unsigned count)
{
    static unsigned char bytes[HEADER + ENTRY * SEGMENTS_MAX];
    unsigned char *entry = bytes + HEADER;

    MUST(count <= SEGMENTS_MAX);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "\177ELF\2\1\1", 7);
    put(bytes + 16, 4, 2);
    put(bytes + 18, machine, 2);
    put(bytes + 32, HEADER, 8);
    put(bytes + 54, ENTRY, 2);
    put(bytes + 56, count, 2);
    for (unsigned i = 0; i < count; i++, entry += ENTRY) {
        put(entry, segments[i].type, 4);
        put(entry + 8, segments[i].offset, 8);
        put(entry + 24, segments[i].paddr, 8);
        put(entry + 32, segments[i].filesz, 8);
        put(entry + 40, segments[i].memsz, 8);
    }
    return fuzz_file(file, bytes, HEADER + (size_t)count * ENTRY);
}

enum { PAGE = 4096, IN_FILE = SEGMENTS_MAX * ENTRY + HEADER };

/* One piece: 4 bytes that describe it and, for most kinds, some content. */
static void describe(struct fuzz_segment *segment, struct fuzz_input *input,
                     uint64_t *address, uint64_t *offset)
{
    uint64_t kind = fuzz_take(input, 1), gap = fuzz_take(input, 1), size;

    size = 1 + fuzz_take(input, 2) % (kind & 1 ? 3 * PAGE : 200);
    *address += gap & 1 ? gap * 16 : 0;
    if (kind & 2) /* allow holes of whole pages */
        *offset = (*offset + PAGE - 1) / PAGE * PAGE;
    *segment = (struct fuzz_segment){.type = ELF_PT_LOAD,
                                     .paddr = *address,
                                     .offset = *offset,
                                     .filesz = kind & 4 ? 0 : size,
                                     .memsz = kind & 8 ? size + gap * 64 : size};
    *address += segment->memsz;
    *offset += segment->filesz;
}

static void write_content(unsigned file, const struct fuzz_segment *segment,
                          struct fuzz_input *input)
{
    static unsigned char bytes[3 * PAGE];
    uint64_t size = fuzz_take(input, 1), step = fuzz_take(input, 1);

    size = size > segment->filesz ? segment->filesz : size;
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)fuzz_take(input, 1);
    if (step & 1) /* repeat the content */
        for (uint64_t i = size; size > 0 && i < segment->filesz; i++)
            bytes[i] = bytes[i % size];
    fuzz_file_put(file, segment->offset, bytes, step & 1 ? segment->filesz : size);
}

/* Replaces a file by its compressed form and truncates it. */
static void compress_file(unsigned file, const char *path, uint64_t lost)
{
    static unsigned char plain[1 << 18], packed[1 << 18];
    struct image_file opened;
    z_stream stream = {.next_in = plain, .next_out = packed, .avail_out = sizeof packed};

    MUST(image_file_open(&opened, path, true, fuzz_error()) == 0 && !opened.gzip);
    MUST(opened.size <= sizeof plain);
    MUST(image_file_read(&opened, 0, plain, opened.size, fuzz_error()) == 0);
    stream.avail_in = (uInt)opened.size;
    image_file_close(&opened);
    MUST(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, 0) == Z_OK);
    MUST(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    fuzz_file(file, packed, stream.total_out - (lost < stream.total_out ? lost : 0));
    deflateEnd(&stream);
}

static void show(struct fuzz_memory *memory, const struct dump *dump)
{
    static unsigned char content[1 << 18];
    uint64_t size = dump->file.size;

    MUST(size <= sizeof content);
    MUST(image_file_read(&dump->file, 0, content, size, fuzz_error()) == 0);
    for (uint64_t i = 0; i < FUZZ_MEMORY; i++) {
        uint64_t offset = 0;
        enum fuzz_where where = FUZZ_NOWHERE;

        if (memory->base + i >= memory->base)
            where = fuzz_where(dump, memory->base + i, &offset);
        memory->there[i] = where == FUZZ_IN_FILE || where == FUZZ_ZERO;
        memory->bytes[i] = where == FUZZ_IN_FILE ? content[offset] : 0;
    }
}

struct dump *fuzz_fill(unsigned file, struct fuzz_memory *memory, struct fuzz_input *input)
{
    struct fuzz_segment segments[16];
    unsigned flags = (unsigned)fuzz_take(input, 1), count = 1 + flags / 16;
    uint64_t address, offset = IN_FILE, end = UINT64_MAX - (FUZZ_MEMORY - 1);
    struct dump *dump;
    const char *path;

    memory->base = address = flags & 1 ? end : flags & 2 ? 0 : 0x12340;
    for (unsigned i = 0; i < count; i++)
        describe(&segments[i], input, &address, &offset);
    while (count > 0 &&
           segments[count - 1].paddr - memory->base + segments[count - 1].memsz >
               FUZZ_MEMORY)
        count--;
    path = fuzz_dump(file, 8, segments, count);
    fuzz_file_extend(file, flags & 4 && offset > IN_FILE + 100 ? offset - 99 : offset);
    for (unsigned i = 0; i < count; i++)
        write_content(file, &segments[i], input);
    if (flags & 4 && offset > IN_FILE + 100)
        fuzz_file_extend(file, offset - 99);
    if (flags & 8)
        compress_file(file, path, flags & 4 ? 30 : 0);
    dump = fuzz_open(path, true);
    if (dump)
        show(memory, dump);
    return dump;
}

enum fuzz_where fuzz_where(const struct dump *dump, uint64_t address, uint64_t *offset)
{
    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *s = &dump->elf.segments[i];
        uint64_t at = address - s->paddr;

        if (s->type != ELF_PT_LOAD || address < s->paddr)
            continue;
        if (at < s->filesz) {
            *offset = s->offset + at;
            return *offset < dump->file.size ? FUZZ_IN_FILE : FUZZ_LOST;
        }
        if (at < s->memsz && dump->format->zero_fill && s->offset != UINT64_MAX)
            return FUZZ_ZERO;
    }
    return FUZZ_NOWHERE;
}

static void check_address(const struct dump *dump, uint64_t address)
{
    struct qvm_error *err = fuzz_error();
    uint64_t offset = 0, contiguous = dump_contiguous(dump, address, 1);
    enum fuzz_where where = fuzz_where(dump, address, &offset);
    struct extent extent;
    unsigned char byte = 1, same = 0;
    int status = dump_check(dump, address, 1, err);

    MUST(memory_extent((struct memory *)&dump->memory, address, UINT64_MAX, &extent, err) ==
         0);
    MUST(contiguous == (where == FUZZ_IN_FILE || where == FUZZ_ZERO));
    MUST(status == (contiguous ? 0 : -1));
    MUST(contiguous || err->code == (where == FUZZ_LOST ? QVM_TRUNCATED : QVM_UNMAPPED));
    MUST((extent.kind == EXTENT_NONE) == (where == FUZZ_NOWHERE) && extent.last >= address);
    MUST((extent.kind == EXTENT_CUT) == (where == FUZZ_LOST));
    MUST(fuzz_read(dump, address, &byte, 1) == status || dump->file.gzip);
    if (where == FUZZ_ZERO)
        MUST(byte == 0);
    if (where == FUZZ_IN_FILE && !dump->file.gzip) {
        MUST(image_file_read(&dump->file, offset, &same, 1, err) == 0);
        MUST(same == byte && (extent.kind == EXTENT_DATA || same == 0));
    }
}

/* Several bytes: they are present if each is, and have the same values. */
static void check_bytes(const struct dump *dump, uint64_t address, uint64_t n)
{
    static unsigned char bytes[2 * PAGE];
    struct qvm_error *err = fuzz_error();
    uint64_t contiguous = dump_contiguous(dump, address, n);
    unsigned char last = 0;

    MUST(contiguous <= n &&
         (n == 0 || contiguous - 1 <= UINT64_MAX - address || contiguous == 0));
    MUST((dump_check(dump, address, n, err) == 0) ==
         (contiguous == n && (n == 0 || n - 1 <= UINT64_MAX - address)));
    if (n == 0 || n > sizeof bytes)
        return;
    if (fuzz_read(dump, address, bytes, n) == 0) {
        MUST(contiguous == n && fuzz_read(dump, address + (n - 1), &last, 1) == 0);
        MUST(last == bytes[n - 1]);
    } else
        MUST(contiguous < n || n - 1 > UINT64_MAX - address || dump->file.gzip);
}

static void check_ranges(const struct dump *dump)
{
    const struct memory_map *map = &dump->map;
    uint64_t total = 0;

    for (size_t i = 0; i < map->count; i++) {
        const struct memory_run *run = &map->runs[i], *next = run + 1;
        uint64_t size = run->last - run->first;

        MUST(run->first <= run->last && size < (uint64_t)INT64_MAX - total);
        total += size + 1;
        MUST(memory_map_find(map, run->first) == i && memory_map_find(map, run->last) == i);
        if (i + 1 == map->count)
            break;
        MUST(run->last < next->first);
        /* Memory that continues in the file must be part of the same run. */
        if (run->last + 1 == next->first)
            MUST(run->offset == RUN_ZEROS
                     ? next->offset != RUN_ZEROS
                     : run->offset + size + 1 != next->offset || next->offset == RUN_ZEROS);
    }
    MUST(dump_memory_total(dump, 0, UINT64_MAX) == total);
}

void fuzz_check_memory(const struct dump *dump, uint64_t seed)
{
    unsigned count = dump->elf.count < SEGMENTS_MAX ? dump->elf.count : SEGMENTS_MAX;

    check_ranges(dump);
    for (unsigned i = 0; i < count; i++) {
        const struct elf_segment *s = &dump->elf.segments[i];
        const uint64_t edges[] = {s->paddr, s->paddr + s->filesz, s->paddr + s->memsz,
                                  s->paddr + fuzz_random(&seed) % (s->memsz | 1)};

        for (size_t k = 0; k < sizeof edges / sizeof edges[0]; k++) {
            check_address(dump, edges[k] - 1);
            check_address(dump, edges[k]);
            check_bytes(dump, edges[k] - fuzz_random(&seed) % 100,
                        fuzz_random(&seed) % 200);
            check_bytes(dump, edges[k], fuzz_odd(&seed, s->memsz));
        }
    }
    check_address(dump, 0);
    check_address(dump, UINT64_MAX);
    check_bytes(dump, UINT64_MAX - 7, 9);
}
