/* ELF notes, including those of QEMU. Input: 4 bytes for the ELF headers, then the
 * bytes of PT_NOTE, which are the file. */
#include "dump/elf_notes.h"

#include "dump/format.h"
#include "dump/qemu_notes.h"
#include "fuzz.h"

#include <string.h>

enum { OPTIONS = 4, NOTE_HEADER = 12 };

static const uint16_t machines[] = {62, 183, 3, 40};

/* Each note follows the one before it, within its segment. */
static int check_notes(const struct elf *elf, const struct image_file *file, int skip)
{
    struct qvm_error *err = fuzz_error();
    struct elf_notes notes;
    struct elf_note note;
    unsigned segment = 0;
    uint64_t previous_end = 0;
    int found, count = 0;

    elf_notes_init(&notes, elf, file, skip);
    while ((found = elf_notes_next(&notes, &note, err)) > 0) {
        const struct elf_segment *s = &elf->segments[note.segment];

        if (note.segment != segment || count == 0)
            previous_end = s->offset;
        MUST((int)note.segment != skip && s->type == ELF_PT_NOTE);
        MUST(note.segment >= segment && note.name_at >= previous_end + NOTE_HEADER);
        MUST(note.offset >= note.name_at + note.name_size);
        MUST(note.offset + note.size <= s->offset + s->filesz);
        previous_end = note.offset + note.size;
        segment = note.segment;
        count++;
    }
    if (found < 0)
        fuzz_failed(err, file->path);
    return count;
}

static void use_qemu(const struct elf *elf, const struct image_file *file, int count)
{
    struct qvm_error *err = fuzz_error();
    struct qemu_notes qemu;
    unsigned sum = 0;
    int found = qemu_notes_read(&qemu, elf, file, err);

    if (found < 0)
        fuzz_failed(err, file->path);
    MUST(found != FORMAT_FOUND ||
         (qemu.vcpu_count > 0 && (int)(qemu.vcpu_count + qemu.state_count) <= count + 2));
    for (unsigned i = 0; found == FORMAT_FOUND && i < qemu.vcpu_count; i++) {
        struct vcpu vcpu;

        MUST(qemu_notes_read_vcpu(&qemu, i, file, &vcpu, err) == 0 && vcpu.cpunum >= i);
        for (size_t r = 0; r < vcpu.set->count; r++)
            sum |=
                vcpu.registers[vcpu.set->fields[r].offset + vcpu.set->fields[r].size - 1];
        MUST(sum < 256); /* a use of the sum, so that the reads are not optimised away */
        for (unsigned r = 0; r < vcpu.extra_count; r++)
            MUST(vcpu.extra_fields[r].offset + vcpu.extra_fields[r].size <=
                 vcpu.extra_size);
        vcpu_free(&vcpu);
    }
    if (found == FORMAT_FOUND)
        qemu_notes_free(&qemu);
}

static void use_failing(const struct elf *elf, const struct image_file *file, uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    struct qemu_notes qemu;
    struct vcpu vcpu;

    fuzz_faults(seed);
    if (qemu_notes_read(&qemu, elf, file, err) == FORMAT_FOUND) {
        if (qemu_notes_read_vcpu(&qemu, 0, file, &vcpu, err) == 0)
            vcpu_free(&vcpu);
        qemu_notes_free(&qemu);
    }
    fuzz_faults_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = (unsigned)fuzz_take(&input, 1);
    uint16_t machine = machines[fuzz_take(&input, 1) % 4];
    uint64_t split = fuzz_take(&input, 2), seed = fuzz_hash(data, size);
    struct elf_segment segments[3];
    struct elf elf = {.bits = flags & 1 ? 32 : 64,
                      .big_endian = flags & 2,
                      .machine = machine,
                      .count = flags & 4 ? 3 : 1,
                      .segments = segments};
    struct qvm_error *err = fuzz_error();
    struct image_file file;

    if (size < OPTIONS)
        return 0;
    split = flags & 4 && split < input.left ? split : input.left;
    segments[0] = (struct elf_segment){
        .type = ELF_PT_NOTE, .filesz = split, .align = flags & 8 ? 8 : 4};
    segments[1] = (struct elf_segment){.type = ELF_PT_LOAD};
    segments[2] = segments[0];
    segments[2].offset = split;
    segments[2].filesz = flags & 16 ? UINT64_MAX / 2 : input.left - split;
    MUST(image_file_open(&file, fuzz_file(0, input.at, input.left), true, err) == 0);
    if (!file.gzip) {
        check_notes(&elf, &file, flags & 32 ? 0 : 2);
        use_qemu(&elf, &file, check_notes(&elf, &file, -1));
        for (int i = 0; i < 3; i++)
            use_failing(&elf, &file, fuzz_random(&seed));
    }
    image_file_close(&file);
    return 0;
}

/* Mutates whole notes: duplicates one, drops one, or changes its size and the field
 * with the size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static uint8_t copy[1 << 16];
    size_t places[16], at = OPTIONS, one, n, count = 0;
    uint64_t random = seed;

    while (at + NOTE_HEADER <= size && count < 15 && !(data[0] & 2)) {
        uint32_t name, bytes;

        memcpy(&name, data + at, 4);
        memcpy(&bytes, data + at + 4, 4);
        if (name > size || bytes > size)
            break;
        places[count++] = at;
        at += NOTE_HEADER + (((size_t)name + 3) & ~3u) + (((size_t)bytes + 3) & ~3u);
    }
    if (count == 0 || at > size || fuzz_random(&random) % 2)
        return LLVMFuzzerMutate(data, size, max);
    places[count] = at;
    one = fuzz_random(&random) % count;
    n = places[one + 1] - places[one];
    memcpy(copy, data + places[one], n);
    if (fuzz_random(&random) % 2 && size + n <= max) {
        memmove(data + places[one] + n, data + places[one], size - places[one]);
        memcpy(data + places[one], copy, n);
        return size + n;
    }
    memmove(data + places[one], data + places[one] + n, size - places[one] - n);
    return size - n;
}
