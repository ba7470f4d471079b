/* A dump puts the parts of this folder together: a file (image_file.c), its ELF headers
 * (elf_core.c), the format that its writer used (format.c), and the index of its memory
 * (memory_map.c). What depends on the format is asked of the format.
 *
 * Loading can be interrupted: a compressed file is unpacked as far as its headers and
 * sometimes to its end, which takes seconds. dump_load() fails with QVM_INCOMPLETE after a
 * part of that and begins anew when it is called once more; what was unpacked by then is
 * kept by the file, so that each call comes further. */
#include "dump/dump.h"

#include "dump/elf_core.h"
#include "dump/elf_sections.h"
#include "dump/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opening ---------------------------------------------------------------------------- */

bool dump_is_whole(const struct dump *dump)
{
    return dump->elf.extent <= dump->file.size && !dump->file.cut && !dump->file.damaged;
}

#define BYTES_MISSING "%" PRIu64 " of %" PRIu64 " bytes are missing"
#define END_MISSING   "the end of the gzip data is missing, and its checksum with it"

/* Learns the file's size. Of a compressed one it is not known before it is unpacked, and
 * what the headers say is a guess: up to the end of the segments, or of the sections after
 * them. */
static int check_whole(struct dump *dump, struct qvm_error *err)
{
    uint64_t extent = dump->elf.extent;
    uint64_t sections = sections_end(&dump->elf, &dump->file);

    if (image_file_resolve_size(&dump->file, sections > extent ? sections : extent, extent,
                                err) != 0)
        return -1;
    if (dump->partial || dump_is_whole(dump))
        return 0;
    if (extent <= dump->file.size)
        return qvm_fail(err, QVM_TRUNCATED, "%s: " END_MISSING, dump->file.path);
    return qvm_fail(err, QVM_TRUNCATED, "%s: " BYTES_MISSING, dump->file.path,
                    extent - dump->file.size, extent);
}

/* The rest of loading, once the headers are known. The size comes first, since the formats
 * and the map compare offsets with it. */
static int load_content(struct dump *dump, struct qvm_error *err)
{
    if (check_whole(dump, err) != 0 || format_find(dump, err) != 0)
        return -1;
    return memory_map_init(&dump->map, &dump->elf, dump->format->zero_fill, &dump->file,
                           err);
}

/* A failure releases what this call has read, so that it can be called again and the dump
 * can be closed. What the file has unpacked stays. */
int dump_load(struct dump *dump, struct qvm_error *err)
{
    dump->memory.path = dump->file.path;
    if (image_file_detect_gzip(&dump->file, err) != 0 ||
        elf_core_read(&dump->elf, &dump->file, err) != 0)
        return -1;
    dump->memory.concurrent = !dump->file.gzip;
    if (load_content(dump, err) == 0)
        return 0;
    format_release(dump);
    elf_free(&dump->elf);
    return -1;
}

/* An object without a file yet: its other members are set when it is loaded. */
static struct dump *new_dump(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = calloc(1, sizeof *dump);

    if (!dump) {
        qvm_fail_memory(err, path);
        return NULL;
    }
    dump->memory.ops = &dump_memory_ops;
    dump->partial = partial;
    return dump;
}

struct dump *dump_open(const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || image_file_open(&dump->file, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

struct dump *dump_open_fd(int fd, const char *path, bool partial, struct qvm_error *err)
{
    struct dump *dump = new_dump(path, partial, err);

    if (!dump || image_file_open_fd(&dump->file, fd, path, partial, err) == 0)
        return dump;
    free(dump);
    return NULL;
}

void dump_close(struct dump *dump)
{
    format_release(dump);
    memory_map_free(&dump->map);
    elf_free(&dump->elf);
    image_file_close(&dump->file);
    free(dump);
}

/* Asked again and again of a dump that is being written: its headers come first and say how
 * long it will be. A file that ends within the headers is not a failure, nor is a
 * compressed one of which more would have to be unpacked. */
int dump_whole_size(int fd, const char *path, uint64_t *extent, struct qvm_error *err)
{
    struct image_file file;
    struct elf elf;
    int status;

    *extent = 0;
    if (image_file_open_fd(&file, fd, path, false, err) != 0)
        return -1;
    status = image_file_detect_gzip(&file, err) == 0 ? elf_core_read(&elf, &file, err) : -1;
    if (status == 0) {
        *extent = elf.extent;
        elf_free(&elf);
    }
    if (status != 0 && (err->code == QVM_TRUNCATED || err->code == QVM_INCOMPLETE))
        status = 0;
    image_file_close(&file);
    return status;
}

/* Warnings --------------------------------------------------------------------------- */

/* Each function is one warning, and writes its text if there is a reason for it. A dump
 * with a warning can be read; a warning says what of it may be wrong or missing. */

static bool warn_damaged(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    if (dump->file.damaged)
        snprintf(text, DUMP_WARNING_SIZE,
                 "the gzip data is damaged or its checksum wrong: do not trust it");
    return dump->file.damaged;
}

/* What the file has lost at its end. */
static bool warn_missing(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    uint64_t extent = dump->elf.extent;

    if (extent > dump->file.size)
        snprintf(text, DUMP_WARNING_SIZE, BYTES_MISSING, extent - dump->file.size, extent);
    else if (dump->file.cut)
        snprintf(text, DUMP_WARNING_SIZE, END_MISSING);
    return extent > dump->file.size || dump->file.cut;
}

static bool warn_garbage(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    if (dump->file.garbage)
        snprintf(text, DUMP_WARNING_SIZE,
                 "something that is not gzip data follows the gzip data: it is ignored");
    return dump->file.garbage;
}

/* Two segments claim the same memory with different bytes; which are right is unknown. */
static bool warn_overlap(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    if (dump->map.overlaps > 0)
        snprintf(text, DUMP_WARNING_SIZE,
                 "segments overlap %u times, first at 0x%016" PRIx64
                 ": where they do, the first in the file is read",
                 dump->map.overlaps, dump->map.overlap_at);
    return dump->map.overlaps > 0;
}

static bool warn_repeated(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    if (dump->elf.repeated > 0)
        snprintf(text, DUMP_WARNING_SIZE,
                 "%u note segments are skipped: they share bytes of the file with "
                 "another one, or are more than %d",
                 dump->elf.repeated, ELF_NOTE_SEGMENTS_MAX);
    return dump->elf.repeated > 0;
}

static bool warn_notes_cut(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    bool cut = elf_notes_are_cut(&dump->elf, &dump->file);

    if (cut)
        snprintf(text, DUMP_WARNING_SIZE, "%s", DUMP_NOTES_CUT);
    return cut;
}

/* Those that come from the file and its ELF headers; the format's follow. */
static dump_warn *const file_warnings[] = {warn_damaged, warn_missing,  warn_garbage,
                                           warn_overlap, warn_repeated, warn_notes_cut,
                                           NULL};

/* The warning of an index among those that there is a reason for; else lowers the index by
 * their number. Each call evaluates the conditions again: they are a few comparisons, and
 * nothing has to be kept in step with the dump. */
static bool find_warning(dump_warn *const *warnings, const struct dump *dump,
                         unsigned *index, char text[DUMP_WARNING_SIZE])
{
    for (; *warnings; warnings++)
        if ((*warnings)(dump, text) && (*index)-- == 0)
            return true;
    return false;
}

bool dump_warning(const struct dump *dump, unsigned index, char text[DUMP_WARNING_SIZE])
{
    return find_warning(file_warnings, dump, &index, text) ||
           find_warning(dump->format->warnings, dump, &index, text);
}

/* What the format says --------------------------------------------------------------- */

const char *dump_format_name(const struct dump *dump)
{
    return dump->format->name;
}

/* By the register sets: a machine without one has no name here either. */
const char *dump_machine(const struct dump *dump)
{
    const struct register_set *set = registers_of(dump->elf.machine);

    return set ? set->name : NULL;
}

/* Operations that a format does not have: see format.h. */
unsigned dump_vcpu_count(const struct dump *dump)
{
    return dump->format->vcpu_count ? dump->format->vcpu_count(dump) : 0;
}

unsigned dump_vcpus_lost(const struct dump *dump)
{
    return dump->format->vcpus_lost ? dump->format->vcpus_lost(dump) : 0;
}

/* The indices after those that the file has are of vCPUs that it has lost. */
int dump_read_vcpu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                   struct qvm_error *err)
{
    if (index >= dump_vcpu_count(dump))
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the file ends before the registers of vCPU %u",
                        dump->file.path, index);
    return dump->format->read_vcpu(dump, index, vcpu, err);
}

int dump_read_log(const struct dump *dump, char **text, size_t *size, struct qvm_error *err)
{
    *text = NULL;
    *size = 0;
    return dump->format->read_log ? dump->format->read_log(dump, text, size, err) : 0;
}

void dump_notes_init(const struct dump *dump, struct elf_notes *notes)
{
    const struct dump_format *format = dump->format;

    elf_notes_init(notes, &dump->elf, &dump->file,
                   format->note_segment ? format->note_segment(dump) : -1);
}

/* Memory ----------------------------------------------------------------------------- */

/* Of n bytes of a run from an address in it, how many the file has. The map is made of the
 * headers, which may promise more than a cut file has. */
static uint64_t present(const struct dump *dump, const struct memory_run *run,
                        uint64_t address, uint64_t n)
{
    uint64_t offset = run->offset + (address - run->first);
    uint64_t left = dump->file.size > offset ? dump->file.size - offset : 0;

    if (run->offset == RUN_ZEROS)
        return n;
    return n < left ? n : left;
}

/* Runs that adjoin in memory need not adjoin in the file, so this goes from run to run,
 * until there is a gap, the file has lost something, or n is reached.
 *
 *     runs       [ run 1 ][ run 2 ]     [ run 3 ]
 *     address        ^............               total: up to the end of run 2
 *
 * `at` is below `address` when the sum has wrapped, which it does only after the last
 * address. */
uint64_t dump_contiguous(const struct dump *dump, uint64_t address, uint64_t n)
{
    const struct memory_map *map = &dump->map;
    uint64_t total = 0;

    for (size_t i = memory_map_find(map, address); i < map->count && total < n; i++) {
        const struct memory_run *run = &map->runs[i];
        uint64_t at = address + total, here = n - total, got;

        if (at < run->first || at < address) /* a gap, or past the last address */
            break;
        if (run->last - at < here)
            here = run->last - at + 1;
        got = present(dump, run, at, here);
        total += got;
        if (got < here)
            break;
    }
    return total;
}

/* Fails for the first address that cannot be read, by what is wrong with it. */
static int fail_at(const struct dump *dump, uint64_t address, struct qvm_error *err)
{
    size_t i = memory_map_find(&dump->map, address);
    bool mapped = i < dump->map.count && dump->map.runs[i].first <= address;

    if (mapped)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: the file ends before what is at address 0x%016" PRIx64,
                        dump->file.path, address);
    /* Physical addresses have up to 52 bits on x86_64 and aarch64. One of the upper half is
     * the virtual address of a kernel, given by mistake. */
    if (address >> 63 != 0)
        return qvm_fail(err, QVM_UNMAPPED,
                        "%s: address 0x%016" PRIx64 " is not in the dump: a physical "
                        "address is expected, and dump:kernel_space() reads a kernel's",
                        dump->file.path, address);
    return qvm_fail(err, QVM_UNMAPPED, "%s: address 0x%016" PRIx64 " is not in the dump",
                    dump->file.path, address);
}

/* n - 1 is used, here and below, since the last byte may have the last address. */
int dump_check(const struct dump *dump, uint64_t address, uint64_t n, struct qvm_error *err)
{
    uint64_t held;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return qvm_fail(err, QVM_UNMAPPED, "%s: beyond the last address, 0x%016" PRIx64,
                        dump->file.path, UINT64_MAX);
    held = dump_contiguous(dump, address, n);
    return held == n ? 0 : fail_at(dump, address + held, err);
}

typedef int read_file(const struct image_file *file, uint64_t offset, void *to, size_t n,
                      struct qvm_error *err);

/* Copies run by run. What the file has lost fails in `read`. */
static int read_runs(const struct dump *dump, read_file *read, uint64_t address, void *to,
                     size_t n, struct qvm_error *err)
{
    const struct memory_map *map = &dump->map;
    unsigned char *out = to;

    if (n > 0 && n - 1 > UINT64_MAX - address)
        return dump_check(dump, address, n, err);
    for (size_t i = memory_map_find(map, address); n > 0; i++) {
        const struct memory_run *run = &map->runs[i];
        size_t part = n;

        if (i == map->count || run->first > address)
            return fail_at(dump, address, err);
        if (run->last - address < n - 1)
            part = (size_t)(run->last - address) + 1;
        if (run->offset == RUN_ZEROS)
            memset(out, 0, part);
        else if (read(&dump->file, run->offset + (address - run->first), out, part, err) !=
                 0)
            return -1;
        out += part;
        n -= part;
        address += part;
    }
    return 0;
}

int dump_read(const struct dump *dump, uint64_t address, void *to, size_t n,
              struct qvm_error *err)
{
    return read_runs(dump, image_file_read_cached, address, to, n, err);
}

int dump_read_direct(const struct dump *dump, uint64_t address, void *to, size_t n,
                     struct qvm_error *err)
{
    return read_runs(dump, image_file_read, address, to, n, err);
}
