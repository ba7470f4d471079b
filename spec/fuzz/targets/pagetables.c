/* Page tables in a small physical memory: walked, listed and searched. An independent
 * walker, written from the manuals, must agree on every address.
 *
 * Input: 16 bytes of options, then entries of 8 bytes: table, index, run, kind, value. */
#include "fuzz.h"

#include "../dumps.h"
#include "paging/mappings.h"
#include "scan/find.h"

#include <string.h>

enum {
    OPTIONS = 16,
    MEMORY = 24 * 4096,
    WINDOW = 6 * 4096,
    RANGES_MAX = 30,
    CALLS_MAX = 4
};

static unsigned char memory[MEMORY];
static uint64_t base; /* its physical address */
static bool big;

static uint64_t load(uint64_t address, unsigned size, bool *there)
{
    uint64_t value = 0;

    *there = address >= base && address - base <= MEMORY - size;
    for (unsigned i = 0; *there && i < size; i++)
        value |= (uint64_t)memory[address - base + i] << 8 * (big ? size - 1 - i : i);
    return value;
}

/* The mapping of an address, according to the manuals. */
struct mapped {
    bool mapped;
    uint64_t physical, size;
    unsigned perms;
};

enum { KR = 1, KW = 2, KX = 4, UR = 8, UW = 16, UX = 32, ALL = 63 };

static struct mapped walk_x86(const struct paging *p, uint64_t va)
{
    unsigned bits = p->kind == PAGING_X86 ? 10 : 9, size = p->kind == PAGING_X86 ? 4 : 8;
    int top = p->kind == PAGING_X86       ? 2
              : p->kind == PAGING_X86_PAE ? 3
              : p->va_bits == 48          ? 4
                                          : 5;
    uint64_t table = p->root, fields = UINT64_C(0x000ffffffffff000) & ~p->encryption_mask;
    unsigned perms = ALL;

    for (int level = top; level >= 1; level--) {
        unsigned shift = 12 + bits * (unsigned)(level - 1);
        uint64_t index = va >> shift & ((1u << bits) - 1), page = UINT64_C(1) << shift, e;
        bool there, pointer = p->kind == PAGING_X86_PAE && level == 3, leaf;

        if (pointer)
            index &= 3;
        e = load(table + index * size, size, &there);
        if (!there || !(e & 1))
            return (struct mapped){0};
        perms &= pointer || e & 2 ? ALL : ALL & ~(KW | UW);
        perms &= pointer || e & 4 ? ALL : ALL & ~(UR | UW | UX);
        perms &= !pointer && size == 8 && e >> 63 ? ALL & ~(KX | UX) : ALL;
        leaf = level == 1 || (e & 128 && !pointer && (level == 2 || level == 3));
        table = e & (size == 4 ? 0xfffff000 : fields);
        if (!leaf)
            continue;
        if (size == 4 && level == 2)
            table = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
        table &= ~(page - 1);
        return (struct mapped){true, table + (va & (page - 1)), page, perms};
    }
    return (struct mapped){0};
}

static uint64_t output(const struct paging *p, uint64_t e)
{
    unsigned low = p->page_shift;
    uint64_t address = e & UINT64_C(0x0000ffffffffffff) & ~((UINT64_C(1) << low) - 1);

    if (p->pa_bits > 48 && low == 16)
        address |= (e >> 12 & 15) << 48;
    else if (p->pa_bits > 48)
        address = (e & UINT64_C(0x0003ffffffffffff) & ~UINT64_C(4095)) | (e >> 8 & 3) << 50;
    else if (low < 16)
        address = e & UINT64_C(0x0000fffffffff000);
    return address & ~p->encryption_mask;
}

static struct mapped walk_arm(const struct paging *p, uint64_t va)
{
    unsigned bits = p->page_shift - 3, perms = ALL;
    int first = 4 - (int)((p->va_bits - p->page_shift + bits - 1) / bits);
    uint64_t table = p->root;

    for (int level = first; level <= 3; level++) {
        unsigned shift = p->page_shift + bits * (unsigned)(3 - level);
        uint64_t page = UINT64_C(1) << shift, e, index;
        bool there, block;

        index = va >> shift & ((1u << bits) - 1);
        if (level == first)
            index &= (UINT64_C(1) << (p->va_bits - shift)) - 1;
        e = load(table + index * 8, 8, &there);
        if (!there || !(e & 1))
            return (struct mapped){0};
        block = level == 2 || (level == 1 && (p->page_shift == 12 || p->pa_bits > 48)) ||
                (level == 0 && p->page_shift == 12 && p->pa_bits > 48);
        if (level < 3 && !(e & 2) && !block)
            return (struct mapped){0};
        if (level == 3 && !(e & 2))
            return (struct mapped){0};
        table = output(p, e);
        if (level < 3 && e & 2) {
            perms &= e >> 61 & 1 ? ALL & ~(UR | UW) : ALL;
            perms &= e >> 62 & 1 ? ALL & ~(KW | UW) : ALL;
            perms &= e >> 60 & 1 ? ALL & ~UX : ALL;
            perms &= e >> 59 & 1 ? ALL & ~KX : ALL;
            table &= ~((UINT64_C(1) << p->page_shift) - 1);
            continue;
        }
        perms &= e & 128 ? ALL & ~(KW | UW) : ALL;
        perms &= e & 64 ? ALL : ALL & ~(UR | UW);
        perms &= e >> 54 & 1 ? ALL & ~UX : ALL;
        perms &= e >> 53 & 1 || (e & 64 && !(e & 128)) ? ALL & ~KX : ALL;
        table &= ~(page - 1);
        return (struct mapped){true, table + (va & (page - 1)), page, perms};
    }
    return (struct mapped){0};
}

static struct mapped walk(const struct space *space, uint64_t va)
{
    const struct paging *p = &space->half[SPACE_LOWER];
    bool arm = p->kind == PAGING_AARCH64; /* of both halves */
    int half = arm && va >> 55 & 1;
    uint64_t high;

    if (!space->has[half])
        return (struct mapped){0};
    p = &space->half[half];
    if (!arm && p->va_bits == 32)
        return va >> 32 ? (struct mapped){0} : walk_x86(p, va);
    high = va >> (p->va_bits - !arm);
    if (high != 0 && high != UINT64_MAX >> (p->va_bits - !arm))
        return (struct mapped){0};
    return arm ? walk_arm(p, va) : walk_x86(p, va);
}

static void check_address(struct space *space, uint64_t va)
{
    struct mapped found = walk(space, va);
    struct qvm_error *err = fuzz_error();
    uint64_t physical = 0, left = 0;
    struct walk steps;
    unsigned char byte, *at;
    bool in;

    if (space_translate(space, va, &physical, &left, err) != 0) {
        MUST(!found.mapped);
        fuzz_failed(err, space->dump->file.path);
        MUST(space_read(space, va, &byte, 1, err) != 0);
        return;
    }
    MUST(found.mapped && physical == found.physical && left > 0 && left <= found.size);
    MUST(space_resolve(space, va, &steps, err) == 0 && steps.count <= PAGING_LEVELS_MAX);
    MUST(steps.address == physical && steps.size == found.size);
    MUST(steps.perms == found.perms);
    in = physical >= base && physical - base < MEMORY;
    at = in ? memory + (physical - base) : &byte;
    MUST((space_read(space, va, &byte, 1, err) == 0) == in && (!in || byte == *at));
}

/* Like mappings_next, but returns 2 if the call takes long or gives up: tables may
 * refer to themselves. */
static int next_range(struct mappings *mapper, struct mapping *range)
{
    struct qvm_error *err = fuzz_error();
    int found;

    for (int calls = 0; (found = mappings_next(mapper, range, err)) < 0; calls++) {
        MUST(err->code == QVM_INCOMPLETE || err->code == QVM_TOO_LARGE);
        if (calls == CALLS_MAX || err->code == QVM_TOO_LARGE)
            return 2;
    }
    return found;
}

/* Every address in the range is mapped with these perms, and those before and after it
 * are not. */
static void check_range(struct space *space, const struct mapping *r, uint64_t first,
                        uint64_t last, uint64_t random)
{
    uint64_t size = r->last - r->first;
    const uint64_t inside[] = {r->first, r->last,
                               r->first + fuzz_random(&random) % (size ? size : 1)};

    MUST(r->first <= r->last && r->perms != 0 && r->first >= first && r->last <= last);
    for (int i = 0; i < 3; i++) {
        struct mapped found = walk(space, inside[i]);

        MUST(found.mapped && found.perms == r->perms);
        check_address(space, inside[i]);
    }
    if (r->first > first)
        MUST(walk(space, r->first - 1).perms != r->perms);
    if (r->last < last)
        MUST(walk(space, r->last + 1).perms != r->perms);
}

/* Lists the mappings; addresses between them must be unmapped. */
static void list(struct space *space, uint64_t first, uint64_t last, uint64_t random)
{
    struct mapping range, before = {0};
    struct qvm_error *err = fuzz_error();
    struct mappings mapper;
    int count = 0, found;

    MUST(mappings_init(&mapper, space, first, last, err) == 0);
    while ((found = next_range(&mapper, &range)) == 1 && count < RANGES_MAX) {
        uint64_t gap = count ? range.first - before.last - 1 : range.first - first;
        uint64_t from = count ? before.last + 1 : first;

        MUST(count == 0 || range.first > before.last);
        check_range(space, &range, first, last, random + (uint64_t)count);
        if (gap > 0) {
            MUST(!walk(space, from).mapped && !walk(space, range.first - 1).mapped);
            check_address(space, from + fuzz_random(&random) % gap);
        }
        before = range;
        count++;
    }
    if (found == 0)
        MUST((count && before.last == last) || !walk(space, last).mapped);
    mappings_free(&mapper);
}

/* Several bytes at once: each must equal the one read alone. */
static void check_bytes(struct space *space, uint64_t va, size_t n)
{
    static unsigned char bytes[3 * 4096];
    unsigned char one = 0;
    struct qvm_error *err = fuzz_error();
    bool wraps = n > 0 && n - 1 > UINT64_MAX - va;
    int status = space_read(space, va, bytes, n, err);

    MUST(!wraps || status != 0);
    for (size_t i = 0; !wraps && i < n; i += i + 512 < n ? 512 : 67) {
        bool is = space_read(space, va + i, &one, 1, fuzz_error()) == 0;

        MUST(status != 0 || (is && one == bytes[i]));
    }
}

/* The bytes of a window, and which of them are mapped. */
static unsigned char window[WINDOW];
static bool there[WINDOW];

static void check_window(const struct space *space, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static struct mapped found;
        uint64_t in_page = (first + i) % 4096, physical;

        if (i == 0 || in_page == 0)
            found = walk(space, first + i - in_page);
        physical = found.physical + in_page;
        there[i] = found.mapped && physical >= base && physical - base < MEMORY;
        window[i] = there[i] ? memory[physical - base] : 0;
    }
}

static bool is_at(size_t i, size_t n, const unsigned char *pattern, size_t size)
{
    if (size > n - i)
        return false;
    for (size_t k = 0; k < size; k++)
        if (!there[i + k] || window[i + k] != pattern[k])
            return false;
    return true;
}

static void search(struct space *space, uint64_t first, size_t n, uint64_t random)
{
    size_t size = 1 + fuzz_random(&random) % (fuzz_random(&random) % 4 ? 3 : 1500);
    const unsigned char *pattern = memory + fuzz_random(&random) % (MEMORY - size);
    uint64_t align = UINT64_C(1) << fuzz_random(&random) % 4;
    struct qvm_error *err = fuzz_error();
    static struct find finder;
    size_t at = 0;
    int status;

    check_window(space, first, n);
    MUST(find_init(&finder, &space->memory, pattern, size, first, first + (n - 1), align, 0,
                   err) == 0);
    for (int calls = 0; (status = scan_step(&finder.scan, err)) != 0; calls++) {
        MUST(calls < 1 << 16 && (status > 0 || err->code == QVM_INCOMPLETE));
        for (size_t u = 0; u < finder.scan.ready; u++) {
            const struct found *list = &finder.scan.units[u].found;

            for (size_t i = 0; i < list->count; i++, at++) {
                while (at < n &&
                       (!is_at(at, n, pattern, size) || (first + at) % align != 0))
                    at++;
                MUST(at < n && list->ranges[i].first == first + at);
            }
        }
    }
    while (at < n && (!is_at(at, n, pattern, size) || (first + at) % align != 0))
        at++;
    MUST(at == n);
    find_free(&finder);
}

static void fill(struct fuzz_input *input, const struct paging *paging)
{
    static const uint64_t steps[] = {0, 4096, 1 << 21, 1 << 16};
    static const unsigned high[] = {53, 54, 59, 60, 61, 62, 8, 63}; /* that say perms */
    unsigned size = paging->entry_size;

    memset(memory, 0, sizeof memory);
    while (input->left > 0) {
        uint64_t at = fuzz_take(input, 1) % 24 * 4096 + fuzz_take(input, 2) * size;
        uint64_t run = 1 + fuzz_take(input, 1), kind = fuzz_take(input, 1);
        uint64_t entry = base + fuzz_take(input, 1) * 4096, flags = fuzz_take(input, 2);

        if (kind & 4)
            entry = fuzz_take(input, 8);
        entry ^= flags & 255;
        for (int bit = 0; bit < 8; bit++)
            entry ^= (flags >> (8 + bit) & 1) << high[bit];
        if (kind & 8)
            run *= 16;
        for (; run > 0; run--, at += size, entry += steps[kind & 3])
            for (unsigned i = 0; i < size && at + size <= MEMORY; i++)
                memory[at + i] = (unsigned char)(entry >> 8 * (big ? size - 1 - i : i));
    }
}

static bool set_up(struct paging *paging, struct fuzz_input *input, int half)
{
    static const unsigned bits[] = {48, 57, 32, 39, 52, 36, 47, 25};
    static const unsigned shifts[] = {12, 12, 14, 16};
    unsigned form = (unsigned)fuzz_take(input, 1), extra = (unsigned)fuzz_take(input, 1);
    uint64_t root = fuzz_take(input, 1);

    if (half == SPACE_LOWER)
        paging->kind = (enum paging_kind)(form % 4);
    paging->va_bits = form & 128 ? extra : bits[form / 4 % 8];
    paging->page_shift = paging->kind == PAGING_AARCH64 ? shifts[form / 32 % 4] : 12;
    if (form & 128 && extra & 4)
        paging->page_shift++;
    paging->pa_bits = extra & 1 ? 52 : 48;
    if (paging->kind >= PAGING_X86_64 && extra & 2)
        paging->encryption_mask = UINT64_C(1) << 47;
    if (paging->kind <= PAGING_X86_PAE && !(form & 128))
        paging->va_bits = 32;
    paging->root = root < 240 ? base + root % 24 * 4096 : UINT64_MAX - (root - 240) * 4096;
    if (paging_setup(paging, fuzz_error()) == 0)
        return true;
    *paging = (struct paging){.kind = paging->kind};
    return false;
}

static void use(struct space *space, struct fuzz_input *input, uint64_t random)
{
    uint64_t first = fuzz_take(input, 1) << 56 >> 8 * (random % 8), left;
    unsigned bits = space->half[space->has[0] ? 0 : 1].va_bits;

    fill(input, &space->half[space->has[0] ? 0 : 1]);
    fuzz_file_put(0, 4096, memory, MEMORY);
    list(space, 0, UINT64_MAX, random);
    list(space, first, first + (fuzz_random(&random) % (UINT64_MAX - first)), random);
    for (int i = 0; i < 32; i++) {
        uint64_t va = fuzz_random(&random) >> fuzz_random(&random) % 64;

        check_address(space, i % 2 ? va : va & ((UINT64_C(1) << bits) - 1));
        check_address(space, ~va);
        if (i % 8 == 0)
            check_bytes(space, i % 16 ? va & 0xfffff : ~va, fuzz_random(&random) % 12288);
    }
    left = UINT64_MAX - first;
    search(space, first, left < WINDOW ? (size_t)left + 1 : WINDOW, random);
    first = fuzz_random(&random) % (UINT64_C(1) << 16) * 512;
    search(space, first, 1 + fuzz_random(&random) % WINDOW, random);
}

static void use_failing(struct space *space, uint64_t seed)
{
    static unsigned char bytes[6000];
    struct qvm_error *err = fuzz_error();
    struct mapping range;
    struct mappings mapper;
    static struct find finder;

    fuzz_faults(seed);
    if (space_read(space, seed >> 48, bytes, sizeof bytes, err) != 0)
        MUST(err->code == QVM_UNMAPPED || err->code == QVM_IO ||
             err->code == QVM_UNSUPPORTED);
    if (mappings_init(&mapper, space, 0, UINT64_MAX, err) == 0) {
        for (int i = 0; i < 4 && mappings_next(&mapper, &range, err) != 0; i++)
            ;
        mappings_free(&mapper);
    }
    if (find_init(&finder, &space->memory, "\3", 1, 0, UINT64_MAX, 1, 0, err) == 0) {
        for (int i = 0; i < 4 && scan_step(&finder.scan, err) != 0; i++)
            ;
        find_free(&finder);
    }
    fuzz_faults_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct space space;
    struct fuzz_input input = {data, size};
    struct fuzz_segment segment = {.type = ELF_PT_LOAD, .offset = 4096};
    unsigned flags = (unsigned)fuzz_take(&input, 1);
    uint64_t seed = fuzz_hash(data, size);
    const char *path;

    if (size < OPTIONS)
        return 0;
    memset(&space, 0, sizeof space);
    big = flags & 1;
    base = (fuzz_take(&input, 1) << 16) + (flags & 2 ? 0 : UINT64_C(1) << 20);
    space.has[SPACE_LOWER] = set_up(&space.half[SPACE_LOWER], &input, SPACE_LOWER);
    if (space.half[SPACE_LOWER].kind == PAGING_AARCH64) {
        space.half[SPACE_UPPER].kind = PAGING_AARCH64;
        space.has[SPACE_UPPER] = flags & 4 && set_up(&space.half[SPACE_UPPER], &input, 1);
        space.has[SPACE_LOWER] = space.has[SPACE_LOWER] && !(flags & 8);
    }
    if (!space.has[SPACE_LOWER] && !space.has[SPACE_UPPER])
        return 0;
    segment.paddr = base;
    segment.filesz = segment.memsz = MEMORY;
    path = fuzz_dump(0, 62, &segment, 1);
    fuzz_file_extend(0, 4096 + MEMORY);
    space_init(&space, fuzz_open(path, false));
    MUST(space.dump != NULL);
    space.dump->elf.big_endian = big;
    use(&space, &input, seed);
    for (uint64_t i = seed % 4; i < 2; i++) {
        space_init(&space, space.dump); /* forget cached entries */
        use_failing(&space, fuzz_random(&seed));
    }
    dump_close(space.dump);
    return 0;
}
