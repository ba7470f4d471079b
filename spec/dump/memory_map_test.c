/* Compares the memory map with a model that has one entry for each byte of a small address
 * space, at 0 or at the top. Random segments overlap, touch, repeat the file's bytes, and
 * have memory beyond their file data. */
#include "dump/memory_map.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { CASES = 20000, SPACE = 96, SEGMENTS_MAX = 9 };

#define ABSENT (UINT64_MAX - 1)

static struct elf_segment segments[SEGMENTS_MAX];
static const struct image_file file = {.size = 1 << 20, .path = (char[]){"test"}};
static struct elf elf = {.segments = segments};
static uint64_t base, model[SPACE];
static struct qvm_error err;

static void random_segment(struct elf_segment *s)
{
    uint64_t first = check_random(SPACE), room = SPACE - first;

    *s = (struct elf_segment){.type = check_random(8) ? ELF_PT_LOAD : ELF_PT_NOTE,
                              .paddr = base + first,
                              .filesz = check_random(room + 1),
                              .offset = check_random(4) * 4 + 16};
    s->memsz = check_random(2) ? s->filesz : s->filesz + check_random(room - s->filesz + 1);
    if (check_random(3) == 0) /* as if the file held all memory in order */
        s->offset = 64 + first;
    else if (check_random(9) == 0 && s->filesz == 0)
        s->offset = UINT64_MAX; /* the writer omitted the data: not zeros */
}

/* What segment s holds at base + i: a file offset, RUN_ZEROS or ABSENT. */
static uint64_t value_at(const struct elf_segment *s, uint64_t i, bool zeros)
{
    uint64_t at = base + i - s->paddr;

    if (s->type != ELF_PT_LOAD || base + i < s->paddr)
        return ABSENT;
    if (at < s->filesz)
        return s->offset + at;
    return zeros && at < s->memsz && s->offset != UINT64_MAX ? RUN_ZEROS : ABSENT;
}

/* Fills the model; returns the first index where two segments differ, or SPACE. */
static uint64_t fill_model(bool zeros)
{
    uint64_t differ = SPACE;

    for (uint64_t i = 0; i < SPACE; i++) {
        model[i] = ABSENT;
        for (unsigned s = 0; s < elf.count; s++) {
            uint64_t value = value_at(&segments[s], i, zeros);

            if (model[i] == ABSENT)
                model[i] = value;
            else if (value != ABSENT && value != model[i] && differ == SPACE)
                differ = i;
        }
    }
    return differ;
}

static uint64_t mapped_at(const struct memory_map *map, uint64_t address)
{
    for (size_t r = 0; r < map->count; r++) {
        const struct memory_run *run = &map->runs[r];

        if (address >= run->first && address <= run->last)
            return run->offset == RUN_ZEROS ? RUN_ZEROS
                                            : run->offset + (address - run->first);
    }
    return ABSENT;
}

/* Runs ascend, do not overlap, and are not mergeable with the previous run. */
static void check_runs(const struct memory_map *map)
{
    for (size_t r = 0; r < map->count; r++) {
        const struct memory_run *run = &map->runs[r], *before = run - 1;

        CHECK(run->first <= run->last);
        if (r == 0 || !CHECK(before->last < run->first) || before->last + 1 != run->first)
            continue;
        CHECK((before->offset == RUN_ZEROS) != (run->offset == RUN_ZEROS) ||
              (run->offset != RUN_ZEROS &&
               before->offset + (run->first - before->first) != run->offset));
    }
}

static size_t naive_find(const struct memory_map *map, uint64_t address)
{
    size_t r = 0;

    while (r < map->count && map->runs[r].last < address)
        r++;
    return r;
}

static void check_random_map(void)
{
    struct memory_map map;
    bool zeros = check_random(2);
    uint64_t differ;

    base = check_random(2) ? 0 : UINT64_MAX - (SPACE - 1);
    elf.count = (unsigned)check_random(SEGMENTS_MAX + 1);
    for (unsigned s = 0; s < elf.count; s++)
        random_segment(&segments[s]);
    differ = fill_model(zeros);
    if (!CHECK(memory_map_build(&map, &elf, zeros, &file, &err) == 0))
        return;
    check_runs(&map);
    for (uint64_t i = 0; i < SPACE; i++) {
        CHECK(mapped_at(&map, base + i) == model[i]);
        CHECK(memory_map_find(&map, base + i) == naive_find(&map, base + i));
    }
    CHECK((map.overlaps > 0) == (differ < SPACE));
    CHECK(differ == SPACE || map.overlap_at == base + differ);
    memory_map_free(&map);
    CHECK(!map.runs && map.count == 0);
}

static int build_one(uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
    struct memory_map map;
    int status;

    elf.count = 1;
    segments[0] = (struct elf_segment){
        .type = ELF_PT_LOAD, .paddr = paddr, .filesz = filesz, .memsz = memsz};
    status = memory_map_build(&map, &elf, true, &file, &err);
    if (status == 0)
        memory_map_free(&map);
    return status;
}

static void refuses_too_much_memory(void)
{
    CHECK(build_one(0, 0, MEMORY_MAP_BYTES_MAX) == 0);
    CHECK(build_one(0, 0, MEMORY_MAP_BYTES_MAX + 1) == -1 && err.code == QVM_TOO_LARGE);
    CHECK(build_one(1, 0, UINT64_MAX) == -1 && err.code == QVM_TOO_LARGE);
}

/* Segments may hold the file's bytes 8 times, plus 64 MiB. */
static void refuses_too_much_repetition(void)
{
    enum { MANY = 200 };
    static struct elf_segment many[MANY];
    struct elf repeated = {.segments = many};
    struct memory_map map;

    for (unsigned i = 0; i < MANY; i++)
        many[i] = (struct elf_segment){.type = ELF_PT_LOAD,
                                       .paddr = (uint64_t)i << 21,
                                       .filesz = file.size,
                                       .memsz = file.size};
    repeated.count = 64 + 8;
    CHECK(memory_map_build(&map, &repeated, false, &file, &err) == 0 && map.count == 72);
    memory_map_free(&map);
    repeated.count = MANY;
    CHECK(memory_map_build(&map, &repeated, false, &file, &err) == -1 &&
          err.code == QVM_TOO_LARGE);
}

static void agrees_with_the_model(void)
{
    for (check_case = 1; check_case <= CASES; check_case++)
        check_random_map();
}

int main(void)
{
    TEST(agrees_with_the_model);
    TEST(refuses_too_much_memory);
    TEST(refuses_too_much_repetition);
    return test_report();
}
