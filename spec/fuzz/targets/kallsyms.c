/* A kernel's table of symbols in a small virtual memory. A reader of its own, which expands
 * all names, must agree on what is a table, on every symbol, and on lookups.
 *
 * Input: a byte of options, then the memory, which is at virtual address BASE: the number
 * of symbols, 4 bytes; at 8 the base of offsets; at 16 four places, 2 bytes each: of the
 * token index, the tokens, the names, the numbers. Options, by bit: 1: big-endian; 3:2: the
 * form; 4: the memory comes again and again; 5: of 32 bits; 6: a page is not mapped; 7: two
 * pages change places. Bit 0 is not used. */
#include "fuzz.h"

#include "../dumps.h"
#include "guest/kallsyms_reader.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096,
    BASE = PAGE,
    TABLES = 4, /* pages: one of page tables for each level */
    PAGES_MAX = 24,
    ENTRIES = 512,
    HEADER = 24,
    CHECKED = 40, /* symbols that are looked up */
    COMPRESSED_MAX = KALLSYMS_NAMES_MAX + 2 * KALLSYMS_COUNT_MAX,
    CALLS_MAX = 1000
};

#define STEXT       UINT64_C(0xffffffff81000000)
#define MEMORY      UINT64_C(0x40000000) /* physical */
#define FORM_FAILED QVM_NOT_FOUND

static unsigned char memory[PAGES_MAX * PAGE], tables[TABLES * PAGE];
static unsigned page_at[ENTRIES]; /* 1 and the page of `memory` that is mapped; 0: none */
static bool big, wide;

static void put(unsigned char *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * (big ? size - 1 - i : i));
}

/* Page tables of x86_64: each has one entry for the next, the last one all pages. */
static void fill_tables(void)
{
    memset(tables, 0, sizeof tables);
    for (unsigned i = 0; i < TABLES - 1; i++)
        put(tables + (size_t)i * PAGE, (i + 1) * PAGE | 7, 8);
    for (unsigned i = 0; i < ENTRIES; i++)
        if (page_at[i])
            put(tables + (TABLES - 1) * PAGE + (size_t)i * 8,
                (MEMORY + (uint64_t)(page_at[i] - 1) * PAGE) | 7, 8);
}

static void map_pages(unsigned options, unsigned pages)
{
    memset(page_at, 0, sizeof page_at);
    for (unsigned i = 0; i < (options & 16 ? ENTRIES - 1u : pages); i++)
        page_at[1 + i] = 1 + i % pages;
    if (options & 64)
        page_at[3] = 0;
    if (options & 128 && pages > 2) {
        page_at[2] = 3;
        page_at[3] = 2;
    }
}

/* The table, naively ----------------------------------------------------------------------
 */

static bool byte_at(uint64_t address, unsigned char *byte)
{
    unsigned page = address / PAGE < ENTRIES ? page_at[address / PAGE] : 0;

    if (page == 0)
        return false;
    *byte = memory[(page - 1) * (uint64_t)PAGE + address % PAGE];
    return true;
}

static bool number_at(uint64_t address, unsigned size, uint64_t *value)
{
    unsigned char byte;

    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        if (!byte_at(address + i, &byte))
            return false;
        *value |= (uint64_t)byte << 8 * (big ? size - 1 - i : i);
    }
    return true;
}

/* Where a stream that begins at an address ends. */
static uint64_t stream_end(uint64_t address, bool *repeated)
{
    bool seen[PAGES_MAX] = {false};
    unsigned page;

    *repeated = false;
    for (;; address = (address / PAGE + 1) * PAGE) {
        page = address / PAGE < ENTRIES ? page_at[address / PAGE] : 0;
        if (page == 0)
            return address;
        *repeated = seen[page - 1];
        if (*repeated)
            return address;
        seen[page - 1] = true;
    }
}

struct text {
    size_t size;
    char bytes[KALLSYMS_NAME_MAX * 2];
};

static struct text tokens[KALLSYMS_TOKENS];
static struct {
    struct text name;
    uint64_t address;
} list[KALLSYMS_COUNT_MAX];
static size_t count;
static size_t compressed; /* bytes of names that were decoded */

static bool expand_tokens(uint64_t index, uint64_t table)
{
    for (unsigned i = 0; i < KALLSYMS_TOKENS; i++) {
        uint64_t at;
        unsigned char byte = 1;

        tokens[i].size = 0;
        if (!number_at(index + (uint64_t)2 * i, 2, &at))
            return false;
        while (tokens[i].size < KALLSYMS_NAME_MAX && byte != 0) {
            if (!byte_at(table + at++, &byte))
                return false;
            if (byte != 0)
                tokens[i].bytes[tokens[i].size++] = (char)byte;
        }
    }
    return true;
}

static void append(struct text *name, const struct text *token)
{
    for (size_t i = 0; i < token->size && name->size <= KALLSYMS_NAME_MAX; i++)
        name->bytes[name->size++] = token->bytes[i];
}

/* 0, or -1 and the code. */
static int expand_names(uint64_t at, enum qvm_code *code)
{
    uint64_t first = at, end, length;
    bool repeated;
    size_t total = 0;
    unsigned char byte;

    end = stream_end(at, &repeated);
    for (size_t i = 0; i < count; i++) {
        struct text *name = &list[i].name;

        *code = repeated ? QVM_MALFORMED : FORM_FAILED;
        if (at == end || !byte_at(at++, &byte))
            return -1;
        length = byte;
        if (length > 127) {
            byte = 0;
            if (at < end)
                byte_at(at++, &byte);
            length = (length & 127) + 128 * byte;
        }
        if (length == 0 || length > KALLSYMS_NAME_MAX)
            *code = FORM_FAILED;
        if (length == 0 || length > KALLSYMS_NAME_MAX || length > end - at)
            return -1;
        for (name->size = 0; length > 0; length--) {
            byte_at(at++, &byte);
            append(name, &tokens[byte]);
        }
        compressed = (size_t)(at - first);
        total += name->size;
        *code = name->size > KALLSYMS_NAME_MAX ? FORM_FAILED : QVM_TOO_LARGE;
        if (name->size > KALLSYMS_NAME_MAX || total > KALLSYMS_NAMES_MAX)
            return -1;
        if (name->size > 0)
            memmove(name->bytes, name->bytes + 1, --name->size);
    }
    return 0;
}

static bool is_named(size_t i, const char *name, size_t size)
{
    return list[i].name.size == size && memcmp(list[i].name.bytes, name, size) == 0;
}

/* The address for a number, by the kernel's documents: form 0: offsets from the base; 1:
 * those that keep offsets of per-CPU variables; 2: from their own places; 3: addresses. */
static uint64_t convert(unsigned form, uint64_t number, uint64_t base, uint64_t place)
{
    switch (form) {
    case 0: return base + (uint32_t)number;
    case 1: return (int64_t)number >= 0 ? number : base - 1 - number;
    case 2: return place + number;
    default: return number;
    }
}

static int expand_addresses(const struct kallsyms_location *where, enum qvm_code *code)
{
    uint64_t at = where->has_offsets ? where->offsets : where->addresses, base = 0, end;
    unsigned size = where->has_offsets || !wide ? 4 : 8, order[] = {2, 0, 1, 3}, i = 0;
    bool possible[4], repeated;
    size_t stext = 0;

    possible[0] = possible[1] = where->has_relative_base;
    possible[2] = where->has_offsets && !where->has_relative_base;
    possible[3] = where->has_addresses;
    if (where->has_offsets && where->has_relative_base)
        MUST(number_at(where->relative_base, wide ? 8 : 4, &base));
    end = stream_end(at, &repeated);
    *code = repeated ? QVM_MALFORMED : FORM_FAILED;
    if (count * size > end - at)
        return -1;
    *code = FORM_FAILED;
    while (stext < count && !is_named(stext, "_stext", 6))
        stext++;
    for (size_t k = 0; k < count; k++) {
        MUST(number_at(at + k * size, size, &list[k].address));
        if (size == 4)
            list[k].address = (uint64_t)(int64_t)(int32_t)list[k].address;
    }
    while (stext < count && i < 4 &&
           (!possible[order[i]] ||
            convert(order[i], list[stext].address, base, at + stext * 4) != STEXT))
        i++;
    if (stext == count || i == 4)
        return -1;
    for (size_t k = 0; k < count; k++)
        list[k].address = convert(order[i], list[k].address, base, at + k * 4);
    return 0;
}

static int expand(const struct kallsyms_location *where, enum qvm_code *code)
{
    uint64_t number, base;

    compressed = 0;
    *code = FORM_FAILED;
    if (where->has_offsets && where->has_relative_base &&
        !number_at(where->relative_base, wide ? 8 : 4, &base))
        return -1;
    if (!number_at(where->num_syms, 4, &number) ||
        !expand_tokens(where->token_index, where->token_table))
        return -1;
    *code = QVM_TOO_LARGE;
    if (number > KALLSYMS_COUNT_MAX)
        return -1;
    count = (size_t)number;
    if (expand_names(where->names, code) != 0)
        return -1;
    return expand_addresses(where, code);
}

/* Lookups ---------------------------------------------------------------------------------
 */

static bool is_upper(void)
{
    size_t upper = 0;

    for (size_t i = 0; i < count; i++)
        upper += list[i].address >> 63;
    return 2 * upper >= count;
}

static void check_at(const struct kallsyms *table, uint64_t address, bool upper)
{
    struct kallsyms_place place;
    size_t best = SIZE_MAX, next = SIZE_MAX;
    char name[KALLSYMS_NAME_MAX];
    bool found;

    for (size_t i = 0; i < count; i++) {
        uint64_t at = list[i].address;

        if (at <= address && (best == SIZE_MAX || at > list[best].address))
            best = i;
        if (at > address && (next == SIZE_MAX || at < list[next].address))
            next = i;
    }
    found = best != SIZE_MAX && next != SIZE_MAX &&
            !(upper && list[best].address >> 63 == 0) &&
            (int64_t)(address - list[best].address) >= 0 &&
            (int64_t)(address - list[best].address) <
                (int64_t)(list[next].address - list[best].address);
    MUST(kallsyms_at(table, address, &place) == found);
    if (!found)
        return;
    MUST(place.index < count && table->symbols[place.index].address == list[best].address);
    MUST((uint64_t)place.offset == address - list[best].address);
    MUST((uint64_t)place.size == list[next].address - list[best].address);
    MUST(
        is_named(best, name, kallsyms_name(table, table->symbols[place.index].name, name)));
}

static void check_name(const struct kallsyms *table, const char *name, size_t size)
{
    uint64_t lowest = 0, address;
    bool found = false;

    for (size_t i = 0; i < count; i++)
        if (is_named(i, name, size) && (!found || list[i].address < lowest)) {
            lowest = list[i].address;
            found = true;
        }
    MUST(kallsyms_address(table, name, size, &address) == found);
    MUST(!found || address == lowest);
}

static void check_table(const struct kallsyms *table, uint64_t random)
{
    bool upper = is_upper();

    MUST(table->count == count && count > 0 && table->is_upper == upper);
    for (size_t i = 1; i < count; i++)
        MUST(table->symbols[i - 1].address <= table->symbols[i].address);
    for (size_t i = 0; i < count && i < CHECKED; i++) {
        size_t k = i < CHECKED / 2 ? i : (size_t)(fuzz_random(&random) % count);

        check_name(table, list[k].name.bytes, list[k].name.size);
        check_name(table, list[k].name.bytes, list[k].name.size / 2);
        check_at(table, list[k].address, upper);
        check_at(table, list[k].address + 1, upper);
        check_at(table, list[k].address - 1, upper);
        check_at(table, fuzz_odd(&random, list[k].address), upper);
    }
}

/* -----------------------------------------------------------------------------------------
 */

static int read_all(struct kallsyms_reader *reader, struct qvm_error *err)
{
    for (int calls = 0; kallsyms_read(reader, err) != 0; calls++) {
        if (err->code != QVM_INCOMPLETE)
            return -1;
        MUST(calls < CALLS_MAX);
    }
    return 0;
}

static void use(struct space *space, const struct kallsyms_location *where, uint64_t random)
{
    struct qvm_error *err = fuzz_error();
    static struct kallsyms_reader reader;
    enum qvm_code code;
    int expected = expand(where, &code);

    MUST(kallsyms_reader_init(&reader, space, where, err) == 0);
    if (read_all(&reader, err) != 0) {
        fuzz_failed(err, "kallsyms");
        /* Names of tokens without characters may take more room than there is. */
        MUST((expected != 0 && err->code == code) ||
             (err->code == QVM_TOO_LARGE && compressed > COMPRESSED_MAX));
    } else {
        MUST(expected == 0);
        check_table(reader.table, random);
    }
    kallsyms_reader_free(&reader);
}

static void use_failing(struct space *space, const struct kallsyms_location *where,
                        uint64_t seed)
{
    struct qvm_error *err = fuzz_error();
    static struct kallsyms_reader reader;

    fuzz_faults(seed);
    if (kallsyms_reader_init(&reader, space, where, err) == 0) {
        if (read_all(&reader, err) == 0)
            MUST(reader.table->count == count);
        kallsyms_reader_free(&reader);
    }
    fuzz_faults_end();
}

static struct dump *open_dump(unsigned pages)
{
    struct fuzz_segment segments[] = {
        {.type = ELF_PT_LOAD, .paddr = 0, .offset = PAGE, .filesz = sizeof tables},
        {.type = ELF_PT_LOAD, .paddr = MEMORY, .offset = PAGE + sizeof tables}};
    const char *path;
    struct dump *dump;

    segments[0].memsz = segments[0].filesz;
    segments[1].memsz = segments[1].filesz = (uint64_t)pages * PAGE;
    path = fuzz_dump(0, 62, segments, 2);
    fuzz_file_put(0, PAGE, tables, sizeof tables);
    fuzz_file_put(0, PAGE + sizeof tables, memory, (size_t)pages * PAGE);
    dump = fuzz_open(path, false);
    MUST(dump != NULL);
    dump->elf.big_endian = big;
    dump->elf.bits = wide ? 64 : 32;
    return dump;
}

static struct kallsyms_location locate(unsigned form)
{
    struct kallsyms_location where = {.num_syms = BASE, .stext = STEXT};
    uint64_t *places[] = {&where.token_index, &where.token_table, &where.names,
                          &where.offsets};

    for (unsigned i = 0; i < 4; i++) {
        number_at(BASE + 16 + (uint64_t)2 * i, 2, places[i]);
        *places[i] += BASE;
    }
    where.addresses = where.offsets;
    where.relative_base = BASE + 8;
    where.has_offsets = form != 2;
    where.has_addresses = form >= 2;
    where.has_relative_base = form == 0 || form == 3;
    return where;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct space space;
    uint64_t seed = fuzz_hash(data, size);
    struct kallsyms_location where;
    unsigned options, pages;

    if (size < 1 + HEADER || size - 1 > sizeof memory)
        return 0;
    options = data[0];
    big = options & 2;
    wide = !(options & 32);
    memset(memory, 0, sizeof memory);
    memcpy(memory, data + 1, size - 1);
    pages = (unsigned)((size - 1 + PAGE - 1) / PAGE);
    map_pages(options, pages);
    fill_tables();
    memset(&space, 0, sizeof space);
    space.has[SPACE_LOWER] = true;
    space.half[SPACE_LOWER] =
        (struct paging){.kind = PAGING_X86_64, .va_bits = 48, .page_shift = 12};
    MUST(paging_setup(&space.half[SPACE_LOWER], fuzz_error()) == 0);
    space_init(&space, open_dump(pages));
    where = locate(options >> 2 & 3);
    use(&space, &where, seed);
    use_failing(&space, &where, seed);
    dump_close(space.dump);
    return 0;
}
