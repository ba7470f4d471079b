/* Opens a whole file as a dump and calls every function on it. */
#include "dump/elf.h"

#include "../dumps.h"
#include "dump/dump.h"
#include "dump/elf_notes.h"
#include "dump/elf_sections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void use_notes(struct dump *dump)
{
    struct qvm_error *err = fuzz_error();
    struct elf_notes notes;
    struct elf_note note;
    uint64_t previous_end = 0;
    unsigned segment = 0;
    int found;

    dump_notes_init(dump, &notes);
    while ((found = elf_notes_next(&notes, &note, err)) > 0) {
        const struct elf_segment *s = &dump->elf.segments[note.segment];

        MUST(s->type == ELF_PT_NOTE && (int)note.segment != notes.skip);
        MUST(note.segment > segment || note.name_at >= previous_end);
        MUST(note.offset + note.size <= s->offset + s->filesz);
        segment = note.segment;
        previous_end = note.offset + note.size;
    }
    if (found < 0 && err->code != QVM_INCOMPLETE)
        fuzz_failed(err, dump->file.path);
}

static void use_sections(const struct dump *dump)
{
    struct elf_section section;
    struct qvm_error *err = fuzz_error();
    uint32_t count = 0;

    if (sections_count(&dump->elf, &dump->file, &count, err) != 0 &&
        err->code != QVM_INCOMPLETE)
        fuzz_failed(err, dump->file.path);
    for (uint32_t i = 0; i < count && i < 8; i++) {
        err = fuzz_error();
        if (sections_read_named(&dump->elf, &dump->file, i, &section, err) == 0)
            MUST(memchr(section.name, '\0', sizeof section.name) != NULL);
        else if (err->code != QVM_INCOMPLETE)
            fuzz_failed(err, dump->file.path);
    }
}

static void use_vcpus(const struct dump *dump)
{
    for (unsigned i = 0; i < dump_vcpu_count(dump) && i < 4; i++) {
        struct vcpu vcpu;
        struct qvm_error *err = fuzz_error();

        if (dump_read_vcpu(dump, i, &vcpu, err) == 0)
            vcpu_free(&vcpu);
        else if (err->code != QVM_INCOMPLETE)
            fuzz_failed(err, dump->file.path);
    }
}

static void use_text(const struct dump *dump)
{
    struct qvm_error *err = fuzz_error();
    char *text = NULL;
    size_t size = 0;

    if (dump_read_log(dump, &text, &size, err) == 0)
        MUST(!text || size > 0);
    else if (err->code != QVM_INCOMPLETE)
        fuzz_failed(err, dump->file.path);
    free(text);
}

static void check_extent(const struct dump *dump)
{
    uint64_t extent = 0;

    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *s = &dump->elf.segments[i];

        MUST(s->filesz <= UINT64_MAX - s->offset);
        if (s->filesz > 0 && s->offset + s->filesz > extent)
            extent = s->offset + s->filesz;
    }
    MUST(dump->elf.extent >= extent);
    MUST(dump->partial || dump_is_whole(dump));
}

static void use(const char *path, bool partial, uint64_t seed)
{
    char warning[DUMP_WARNING_SIZE];
    struct dump *dump = fuzz_open(path, partial);

    if (!dump)
        return;
    check_extent(dump);
    fuzz_check_memory(dump, seed);
    use_notes(dump);
    use_sections(dump);
    use_vcpus(dump);
    use_text(dump);
    MUST(dump_format_name(dump) && (dump_machine(dump) || !dump_vcpu_count(dump)));
    for (unsigned i = 0; dump_warning(dump, i, warning); i++)
        MUST(memchr(warning, '\0', sizeof warning) && i < 9);
    dump_close(dump);
}

static int extent_of(const char *path, uint64_t *extent, struct qvm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;

    if (fd < 0)
        return qvm_fail_errno(err, errno, path);
    status = dump_whole_size(fd, path, extent, err);
    close(fd);
    return status;
}

/* The same with a failure injected: any result is allowed, but nothing may leak. */
static void use_failing(const char *path, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    struct dump *dump;
    struct vcpu vcpu;
    char *text = NULL;
    uint64_t extent;
    size_t size;

    fuzz_faults(seed);
    dump = dump_open(path, seed & 1, err);
    if (dump && dump_load(dump, err) == 0) {
        if (dump_vcpu_count(dump) > 0 && dump_read_vcpu(dump, 0, &vcpu, err) == 0)
            vcpu_free(&vcpu);
        if (dump_read_log(dump, &text, &size, err) == 0)
            free(text);
    }
    extent_of(path, &extent, err);
    fuzz_faults_end();
    if (dump)
        dump_close(dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(0, data, size);
    uint64_t seed = fuzz_hash(data, size), extent;
    struct qvm_error *err = fuzz_error();

    use(path, false, seed);
    use(path, true, seed);
    if (extent_of(path, &extent, err) != 0)
        fuzz_failed(err, path);
    for (uint64_t i = seed % 4; i < 2; i++)
        use_failing(path, fuzz_random(&seed));
    return 0;
}
