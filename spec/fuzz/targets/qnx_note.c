/* The note of a QNX dump. Input: 8 bytes for the ELF headers, then the bytes of
 * PT_NOTE, which are the file; the segment of the text is a part of them. */
#include "dump/qnx_note.h"

#include "dump/format.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { OPTIONS = 8, NOTE = 40, RECORD = 128 };

static const uint16_t machines[] = {183, 62, 3, 40, 8};

/* The parts must lie within the segment and cover it. */
static void check(const struct qnx_note *qnx, const struct elf_segment *note)
{
    uint64_t end = note->offset + note->filesz;

    MUST(qnx->vcpu_count + qnx->lost > 0 && qnx->set && qnx->set->size <= qnx->set->padded);
    MUST(qnx->records >= note->offset + NOTE);
    MUST(qnx->records + (uint64_t)(qnx->vcpu_count + qnx->lost) * qnx->record_size == end);
    MUST(qnx->extra_at + qnx->extra_size == qnx->record_size);
    MUST(qnx->extra_at >= RECORD + qnx->set->size);
    for (unsigned i = 0; i < qnx->extra_count; i++)
        MUST(strlen(qnx->extra[i].name) <= QNX_NOTE_EXTRA_MAX &&
             qnx->extra[i].offset + qnx->extra[i].size <= qnx->extra_size);
}

static void use_vcpus(const struct qnx_note *qnx, const struct image_file *file)
{
    for (unsigned i = 0; i < qnx->vcpu_count; i++) {
        struct vcpu vcpu;
        unsigned char last;

        MUST(qnx_note_read_vcpu(qnx, i, file, &vcpu, fuzz_error()) == 0);
        MUST(memchr(vcpu.process, '\0', sizeof vcpu.process) != NULL);
        memcpy(&last, vcpu.registers + vcpu.set->size - 1, 1);
        if (vcpu.extra_size > 0)
            memcpy(&last, vcpu.extra + vcpu.extra_size - 1, 1);
        vcpu_free(&vcpu);
    }
}

static void use_text(const struct qnx_note *qnx, const struct elf *elf,
                     const struct image_file *file)
{
    struct qvm_error *err = fuzz_error();
    char *text = (char *)err;
    size_t size = 0;

    if (qnx_note_read_log(qnx, elf, file, &text, &size, err) != 0)
        fuzz_failed(err, file->path);
    else if (text) {
        MUST(size > 0 && size <= file->size && text[size - 1] != '\0');
        MUST(memchr(text, '\0', size) == NULL);
    }
    if (text)
        free(text);
}

static void use_failing(const struct elf *elf, const struct image_file *file, uint64_t seed)
{
    struct qnx_note qnx;
    struct qvm_error *err = fuzz_error();
    struct vcpu vcpu;
    char *text;
    size_t size;
    int found;

    fuzz_faults(seed);
    found = qnx_note_read(&qnx, elf, &elf->segments[1], file, err);
    if (found == FORMAT_FOUND) {
        if (qnx.vcpu_count > 0 && qnx_note_read_vcpu(&qnx, 0, file, &vcpu, err) == 0)
            vcpu_free(&vcpu);
        if (qnx_note_read_log(&qnx, elf, file, &text, &size, err) == 0)
            free(text);
        qnx_note_free(&qnx);
    }
    fuzz_faults_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct elf_segment segments[3] = {
        {.type = ELF_PT_LOAD}, {.type = ELF_PT_NOTE}, {.type = ELF_PT_LOAD}};
    unsigned flags = (unsigned)fuzz_take(&input, 1);
    struct elf elf = {.bits = flags & 1 ? 32 : 64,
                      .big_endian = flags & 2,
                      .machine = machines[fuzz_take(&input, 1) % 5],
                      .count = 1 + flags / 4 % 3,
                      .segments = segments};
    struct qnx_note qnx;
    struct qvm_error *err = fuzz_error();
    uint64_t seed = fuzz_hash(data, size);
    struct image_file file;
    int found;

    if (size < OPTIONS)
        return 0;
    segments[0].offset = fuzz_take(&input, 2);
    segments[0].filesz = segments[0].memsz = fuzz_take(&input, 2);
    segments[2].offset = fuzz_take(&input, 2);
    segments[2].filesz = UINT32_MAX;
    segments[1].filesz = flags & 64 ? input.left + 100 : input.left;
    MUST(image_file_open(&file, fuzz_file(0, input.at, input.left), true, err) == 0);
    found = file.gzip ? FORMAT_OTHER : qnx_note_read(&qnx, &elf, &segments[1], &file, err);
    if (found == FORMAT_FOUND) {
        check(&qnx, &segments[1]);
        if (!(flags & 64))
            use_vcpus(&qnx, &file);
        use_text(&qnx, &elf, &file);
        qnx_note_free(&qnx);
    } else if (found < 0)
        fuzz_failed(err, file.path);
    for (int i = 0; i < 3 && !file.gzip; i++)
        use_failing(&elf, &file, fuzz_random(&seed));
    image_file_close(&file);
    return 0;
}

static void put(uint8_t *to, uint64_t value, unsigned bytes, bool big)
{
    for (unsigned i = 0; i < bytes; i++)
        to[big ? bytes - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

/* Sizes that are consistent, or almost. */
static void fit(uint8_t *data, size_t size, uint64_t *random)
{
    const struct register_set *set = registers_of(machines[data[1] % 5]);
    bool big = data[0] & 2;
    uint8_t *note = data + OPTIONS;
    uint64_t names = fuzz_random(random) % 24, extra = 8 * (fuzz_random(random) % 4);
    uint64_t left = size - OPTIONS - NOTE, registers, cpus;

    if (!set)
        return;
    registers = (fuzz_random(random) % 2 ? set->padded : set->size) + extra;
    if (fuzz_random(random) % 2)
        names = extra / 8;
    cpus = left > names ? (left - names) / (RECORD + registers) : 0;
    if (fuzz_random(random) % 2 && left >= cpus * (RECORD + registers))
        names = left - cpus * (RECORD + registers);
    put(note, 0, 1, big);
    put(note + 4, cpus + (fuzz_random(random) % 8 == 0), 2, big);
    put(note + 8, registers, 4, big);
    put(note + 24, fuzz_random(random) % 3, 4, big);
    put(note + 32, extra, 4, big);
    put(note + 36, names, 4, big);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t random = seed;

    size = LLVMFuzzerMutate(data, size, max);
    if (size >= OPTIONS + NOTE && fuzz_random(&random) % 4 == 0)
        fit(data, size, &random);
    return size;
}
