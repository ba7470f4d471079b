/* Changes the important parts of an ELF file: fields of its headers get odd values or
 * the values of other fields. Otherwise, libFuzzer mutates the bytes as usual. */
#include "fuzz.h"

#include <string.h>

struct field {
    uint8_t at[2], size[2]; /* by class: 32 bits, 64 bits */
};

static const struct field in_header[] = {
    {{4, 4}, {1, 1}},   {{5, 5}, {1, 1}},   {{16, 16}, {2, 2}}, {{18, 18}, {2, 2}},
    {{28, 32}, {4, 8}}, {{32, 40}, {4, 8}}, {{42, 54}, {2, 2}}, {{44, 56}, {2, 2}},
    {{46, 58}, {2, 2}}, {{48, 60}, {2, 2}}, {{50, 62}, {2, 2}}};
static const struct field in_segment[] = {
    {{0, 0}, {4, 4}},   {{4, 8}, {4, 8}},   {{8, 16}, {4, 8}}, {{12, 24}, {4, 8}},
    {{16, 32}, {4, 8}}, {{20, 40}, {4, 8}}, {{24, 4}, {4, 4}}, {{28, 48}, {4, 8}}};
static const struct field in_section[] = {
    {{0, 0}, {4, 4}},   {{4, 4}, {4, 4}},   {{12, 16}, {4, 8}}, {{16, 24}, {4, 8}},
    {{20, 32}, {4, 8}}, {{24, 40}, {4, 4}}, {{28, 44}, {4, 4}}};
static const struct field in_note[] = {
    {{0, 0}, {4, 4}}, {{4, 4}, {4, 4}}, {{8, 8}, {4, 4}}, {{32, 36}, {4, 4}}};

enum { HEADER, SEGMENT, SECTION, NOTE, PLACES };

static const struct {
    const struct field *fields;
    size_t count;
} tables[] = {{in_header, sizeof in_header / sizeof in_header[0]},
              {in_segment, sizeof in_segment / sizeof in_segment[0]},
              {in_section, sizeof in_section / sizeof in_section[0]},
              {in_note, sizeof in_note / sizeof in_note[0]}};

struct elf_file {
    uint8_t *data;
    size_t size;
    bool wide, big;
};

static uint64_t get(const struct elf_file *elf, uint64_t at, unsigned size)
{
    uint64_t value = 0;

    if (at > elf->size || size > elf->size - at)
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)elf->data[at + (elf->big ? size - 1 - i : i)] << 8 * i;
    return value;
}

static void set(const struct elf_file *elf, uint64_t at, unsigned size, uint64_t value)
{
    if (at > elf->size || size > elf->size - at)
        return;
    for (unsigned i = 0; i < size; i++)
        elf->data[at + (elf->big ? size - 1 - i : i)] = (uint8_t)(value >> 8 * i);
}

/* The offset of a random structure of a kind. */
static uint64_t place(const struct elf_file *elf, int kind, uint64_t *random)
{
    bool wide = elf->wide;
    uint64_t phoff = get(elf, wide ? 32 : 28, wide ? 8 : 4);
    uint64_t count = get(elf, wide ? 56 : 44, 2), size = wide ? 56 : 32;
    uint64_t one = phoff + (count ? fuzz_random(random) % count : 0) * size;

    switch (kind) {
    case HEADER: return 0;
    case SEGMENT: return one;
    case NOTE: return get(elf, one + (wide ? 8 : 4), wide ? 8 : 4);
    default:
        count = get(elf, wide ? 60 : 48, 2);
        one = count ? fuzz_random(random) % count : 0;
        return get(elf, wide ? 40 : 32, wide ? 8 : 4) + one * (wide ? 64 : 40);
    }
}

static uint64_t value_for(const struct elf_file *elf, uint64_t at, unsigned size,
                          uint64_t *random)
{
    const struct field *other = &in_segment[fuzz_random(random) % 8];
    uint64_t segment = place(elf, SEGMENT, random);
    uint64_t of_other = get(elf, segment + other->at[elf->wide], other->size[elf->wide]);

    switch (fuzz_random(random) % 5) {
    case 0: return fuzz_odd(random, elf->size);
    case 1: return fuzz_odd(random, get(elf, at, size));
    case 2: return fuzz_odd(random, UINT64_MAX - of_other);
    case 3: return of_other + fuzz_random(random) % 3 - 1;
    default: return fuzz_random(random) % 12;
    }
}

/* Copies one segment over another, or to the place after the last. */
static void copy_segment(const struct elf_file *elf, uint64_t *random)
{
    size_t size = elf->wide ? 56 : 32;
    uint64_t from = place(elf, SEGMENT, random), to = place(elf, SEGMENT, random);
    uint64_t at = elf->wide ? 56 : 44;

    if (fuzz_random(random) % 4 == 0)
        set(elf, at, 2, get(elf, at, 2) + fuzz_random(random) % 3 - 1);
    if (from < elf->size && to < elf->size && size <= elf->size - from &&
        size <= elf->size - to)
        memmove(elf->data + to, elf->data + from, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t random = seed;
    struct elf_file elf = {data, size, size > 4 && data[4] == 2, size > 5 && data[5] == 2};

    if (size < 52 || fuzz_random(&random) % 4 == 0)
        return LLVMFuzzerMutate(data, size, max);
    for (uint64_t times = 1 + fuzz_random(&random) % 3; times > 0; times--) {
        int kind = (int)(fuzz_random(&random) % (PLACES + 1));
        const struct field *field;
        uint64_t at;

        if (kind == PLACES) {
            copy_segment(&elf, &random);
            continue;
        }
        field = &tables[kind].fields[fuzz_random(&random) % tables[kind].count];
        at = place(&elf, kind, &random) + field->at[elf.wide];
        set(&elf, at, field->size[elf.wide],
            value_for(&elf, at, field->size[elf.wide], &random));
    }
    return size;
}
