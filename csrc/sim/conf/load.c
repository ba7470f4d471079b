/*
 * The option `load`: puts an ELF file's PT_LOAD segments, or a file's bytes, into the
 * guest's memory. After all options, the headers of the files are read, and each part that
 * a file fills becomes an extent: an address, a size, and where its bytes are in the file.
 * The extents are checked against the RAM and sorted. Their bytes are read for each dump
 * anew. If QEMU runs the guest, the file is its kernel, and QEMU reads it.
 */
#define _GNU_SOURCE
#include "conf/number.h"
#include "conf/parser.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ELF_HEADER_SIZE = 64,
    PROGRAM_HEADER_SIZE = 56,
    MOST_SEGMENTS = 65534, /* ELF stores a larger number elsewhere */
    SEGMENT_LOAD = 1,
    MACHINE_CODE_X86_64 = 62,
    MACHINE_CODE_AARCH64 = 183
};

/* A file whose headers are read. */
struct reading {
    struct loads *loads;
    struct load *load; /* one of them */
    uint64_t file_size;
};

/* A little-endian number of `count` bytes. */
static uint64_t number_at(const unsigned char *at, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = count; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

static void read_header(const struct reading *reading, uint64_t offset, void *bytes,
                        size_t size)
{
    const struct load *load = reading->load;
    int error = file_read_at(load->fd, offset, bytes, size);

    if (error)
        place_fail(load->place, "load: cannot read %s: %s", load->path, strerror(error));
}

static void add_extent(const struct reading *reading, struct extent extent)
{
    struct loads *loads = reading->loads;

    extent.load = (size_t)(reading->load - loads->files);
    loads->extents = place_grow(loads->extents, loads->extent_count, sizeof extent);
    loads->extents[loads->extent_count++] = extent;
}

/* Adds a PT_LOAD segment, if its program header is consistent. */
static void add_segment(const struct reading *reading, unsigned segment,
                        const unsigned char *header)
{
    const struct load *load = reading->load;
    struct extent extent = {.offset = number_at(header + 8, 8),
                            .address = number_at(header + 24, 8),
                            .filled = number_at(header + 32, 8),
                            .size = number_at(header + 40, 8),
                            .segment = segment};

    if (extent.filled > extent.size)
        place_fail(load->place, "load: %s: segment %u: p_filesz is more than p_memsz",
                   load->path, segment);
    if (extent.filled > 0 && (extent.offset > reading->file_size ||
                              extent.filled > reading->file_size - extent.offset))
        place_fail(load->place,
                   "load: %s: segment %u: 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " of the file, which has 0x%" PRIx64,
                   load->path, segment, extent.filled, extent.offset, reading->file_size);
    if (extent.size > 0)
        add_extent(reading, extent);
}

static void read_segments(const struct reading *reading, uint64_t offset, unsigned count)
{
    const struct load *load = reading->load;
    size_t before = reading->loads->extent_count;
    unsigned char header[PROGRAM_HEADER_SIZE];

    if (count > MOST_SEGMENTS)
        place_fail(load->place, "load: %s: more than %d program headers", load->path,
                   MOST_SEGMENTS);
    if (offset > reading->file_size ||
        (uint64_t)count * sizeof header > reading->file_size - offset)
        place_fail(load->place, "load: %s: its program headers are not all in the file",
                   load->path);
    for (unsigned i = 0; i < count; i++) {
        read_header(reading, offset + (uint64_t)i * sizeof header, header, sizeof header);
        if (number_at(header, 4) == SEGMENT_LOAD)
            add_segment(reading, i, header);
    }
    if (reading->loads->extent_count == before)
        place_fail(load->place, "load: %s: it has nothing to load (no PT_LOAD)",
                   load->path);
}

static bool is_elf(const struct reading *reading)
{
    char magic[4];

    if (reading->file_size < sizeof magic)
        return false;
    read_header(reading, 0, magic, sizeof magic);
    return memcmp(magic, "\177ELF", sizeof magic) == 0;
}

static void read_elf(struct reading *reading)
{
    struct load *load = reading->load;
    unsigned char header[ELF_HEADER_SIZE];

    if (reading->file_size < sizeof header)
        place_fail(load->place, "load: %s: its ELF header is cut off", load->path);
    read_header(reading, 0, header, sizeof header);
    unsigned entry_size = (unsigned)number_at(header + 54, 2);
    unsigned count = (unsigned)number_at(header + 56, 2);
    if (header[4] != 2 || header[5] != 1)
        place_fail(load->place, "load: %s: not a 64-bit little-endian ELF file",
                   load->path);
    if (count > 0 && entry_size != PROGRAM_HEADER_SIZE)
        place_fail(load->place, "load: %s: program headers of %u bytes, not %d", load->path,
                   entry_size, PROGRAM_HEADER_SIZE);
    load->machine = (unsigned)number_at(header + 18, 2);
    read_segments(reading, number_at(header + 32, 8), count);
}

bool load_split(char *text, struct place place, const char *option, const char **path,
                uint64_t *address)
{
    char *comma = strchr(text, ',');

    *path = text;
    if (!comma || text[0] < '0' || text[0] > '9')
        return false;
    *comma = '\0';
    if (!number_size(text, address))
        place_fail(place, "%s: bad address '%s'", option, text);
    *path = comma + 1;
    return true;
}

/* Opens the file. False, with a warning, if it does not exist: configurations name files of
   the host that they are written for. */
static bool open_file(struct load *load, uint64_t *size)
{
    struct stat status;

    /* O_NONBLOCK: otherwise opening a FIFO would wait for a writer. */
    load->fd = open(load->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (load->fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        place_warn(load->place, "load: %s does not exist: nothing is loaded", load->path);
        return false;
    }
    if (load->fd < 0 || fstat(load->fd, &status))
        place_fail(load->place, "load: cannot read %s: %s", load->path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        place_fail(load->place, "load: %s is not a regular file", load->path);
    *size = (uint64_t)status.st_size;
    return true;
}

void load_take(struct parser *parser)
{
    const struct token *token = parser_argument(parser);
    struct loads *loads = &parser->conf->loads;
    struct load load = {.place = token->place, .fd = -1};

    load.has_address =
        load_split(token->text, token->place, "load", &load.path, &load.address);
    loads->files = place_grow(loads->files, loads->file_count, sizeof load);
    loads->files[loads->file_count++] = load;
}

static void read_load(struct loads *loads, struct load *load)
{
    struct reading reading = {loads, load, 0};
    uint64_t size;

    if (!open_file(load, &size))
        return;
    reading.file_size = size;
    if (load->has_address && size > 0)
        add_extent(&reading,
                   (struct extent){.address = load->address, .size = size, .filled = size});
    else if (!load->has_address && is_elf(&reading))
        read_elf(&reading);
    else
        place_warn(load->place, "load: %s is %s: nothing is loaded", load->path,
                   load->has_address ? "empty"
                                     : "not an ELF file, and no address is given");
}

/* The bytes of guest memory from `address` on, in the block where it is; 0: in none. */
static uint64_t memory_at(const struct conf *conf, uint64_t address)
{
    for (size_t i = 0; i < conf->ram_count; i++) {
        uint64_t offset = address - conf->ram[i].base;
        if (address >= conf->ram[i].base && offset < conf_memory_size(conf, i))
            return conf_memory_size(conf, i) - offset;
    }
    return 0;
}

struct label {
    char text[512];
};

/* Names an extent in a message. */
static struct label name_extent(const struct loads *loads, const struct extent *extent)
{
    const struct load *load = &loads->files[extent->load];
    struct label label;
    int length = snprintf(label.text, sizeof label.text, "%s: ", load->path);

    if (load->machine && length > 0 && (size_t)length < sizeof label.text)
        (void)snprintf(label.text + length, sizeof label.text - (size_t)length,
                       "segment %u, ", extent->segment);
    return label;
}

static _Noreturn void fail_outside(const struct conf *conf, const struct extent *extent,
                                   uint64_t address)
{
    uint64_t start;
    bool report = conf_report_address(conf, &start) && address >= start &&
                  address - start < CONF_REPORT;

    place_fail(conf->loads.files[extent->load].place,
               "load: %s0x%" PRIx64 " bytes at 0x%" PRIx64 ": 0x%" PRIx64 " is %s",
               name_extent(&conf->loads, extent).text, extent->size, extent->address,
               address,
               report ? "in the last 64K of the last RAM block, which a dump's report takes"
                      : "not in RAM");
}

static void check_extent(const struct conf *conf, const struct extent *extent)
{
    uint64_t address = extent->address;
    uint64_t left = extent->size;

    if (left - 1 > UINT64_MAX - address)
        place_fail(conf->loads.files[extent->load].place,
                   "load: %s0x%" PRIx64 " bytes at 0x%" PRIx64 ": past the last address",
                   name_extent(&conf->loads, extent).text, extent->size, address);
    while (left > 0) {
        uint64_t there = memory_at(conf, address);
        if (there == 0)
            fail_outside(conf, extent, address);
        there = there < left ? there : left;
        address += there;
        left -= there;
    }
}

static int by_address(const void *left, const void *right)
{
    const struct extent *a = left;
    const struct extent *b = right;

    return a->address < b->address ? -1 : a->address > b->address;
}

static void check_overlap(const struct loads *loads, const struct extent *extent,
                          const struct extent *next)
{
    if (next->address - extent->address < extent->size)
        place_fail(loads->files[next->load].place,
                   "load: %s0x%" PRIx64 " bytes at 0x%" PRIx64
                   ": overlaps what is loaded at 0x%" PRIx64,
                   name_extent(loads, next).text, next->size, next->address,
                   extent->address);
}

static void check_machine(const struct conf *conf, const struct load *load)
{
    unsigned machine =
        conf->machine == MACHINE_AARCH64 ? MACHINE_CODE_AARCH64 : MACHINE_CODE_X86_64;

    if (load->machine && load->machine != machine)
        place_fail(load->place, "load: %s: its e_machine is %u, not %u: set sim-machine",
                   load->path, load->machine, machine);
}

void load_read(struct conf *conf)
{
    struct loads *loads = &conf->loads;

    for (size_t i = 0; i < loads->file_count; i++) {
        read_load(loads, &loads->files[i]);
        check_machine(conf, &loads->files[i]);
    }
    for (size_t i = 0; i < loads->extent_count; i++)
        check_extent(conf, &loads->extents[i]);
    if (loads->extent_count > 0)
        qsort(loads->extents, loads->extent_count, sizeof *loads->extents, by_address);
    for (size_t i = 1; i < loads->extent_count; i++)
        check_overlap(loads, &loads->extents[i - 1], &loads->extents[i]);
}

void loads_free(struct loads *loads)
{
    for (size_t i = 0; i < loads->file_count; i++) {
        if (loads->files[i].fd >= 0)
            (void)close(loads->files[i].fd);
    }
    free(loads->files);
    free(loads->extents);
    *loads = (struct loads){0};
}

size_t loads_from(const struct loads *loads, size_t first, uint64_t address)
{
    while (first < loads->extent_count &&
           loads->extents[first].address + (loads->extents[first].size - 1) < address)
        first++;
    return first;
}

int loads_read(const struct loads *loads, const struct extent *extent, uint64_t offset,
               void *bytes, size_t size)
{
    return file_read_at(loads->files[extent->load].fd, extent->offset + offset, bytes,
                        size);
}
