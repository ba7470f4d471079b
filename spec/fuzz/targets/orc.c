/* ORC tables and stacks in a small virtual memory. A linear search must find the entry that
 * the binary search finds, a decoder written from the kernel's header must agree on it, and
 * an unwinder written from the kernel's must take each step of the walk, which ends within
 * its limits.
 *
 * Input: a byte of options, then the memory, which is at virtual address BASE: for two
 * tables first, last, ips, entries, count, 2 bytes each, addresses from BASE on; then the
 * known registers, a bit for each in 4 bytes; then the registers in the order of struct
 * pt_regs, 2 bytes each, addresses from BASE on. Options, by bit: 1:0: the form, unless the
 * contents tell it; 2: ip is a return address; 3: the last pages are not executable; 4: a
 * page is not mapped; 5: the registers are not addresses; 6: one table. */
#include "fuzz.h"

#include "../dumps.h"
#include "guest/orc_walk.h"

#include <string.h>

enum {
    PAGE = 4096,
    BASE = PAGE,
    TABLES = 4, /* pages: one of page tables for each level */
    PAGES_MAX = 4,
    HEADER = 20 + 4 + 2 * REG_COUNT,
    COUNT_MAX = 512, /* entries: they are searched one by one */
    STEPS_MAX = 1000
};

#define MEMORY     UINT64_C(0x40000000) /* physical */
#define NO_EXECUTE (UINT64_C(1) << 63)

static unsigned char memory[PAGES_MAX * PAGE], tables[TABLES * PAGE];
static unsigned pages;
static bool lacks_page, has_data;

static void put(unsigned char *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static bool is_mapped(unsigned page)
{
    return page < pages && !(lacks_page && page == 2);
}

static bool is_data(unsigned page)
{
    return has_data && page + 1 == pages;
}

/* Page tables of x86_64: each has one entry for the next, the last one all pages. */
static void fill_tables(void)
{
    memset(tables, 0, sizeof tables);
    for (unsigned i = 0; i < TABLES - 1; i++)
        put(tables + (size_t)i * PAGE, (i + 1) * PAGE | 7);
    for (unsigned i = 0; i < pages; i++)
        if (is_mapped(i))
            put(tables + (TABLES - 1) * PAGE + (size_t)(i + 1) * 8,
                (MEMORY + (uint64_t)i * PAGE) | 7 | (is_data(i) ? NO_EXECUTE : 0));
}

/* Memory, naively -------------------------------------------------------------------------
 */

static bool number_at(uint64_t address, unsigned size, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = address + i - BASE;

        if (at >= (uint64_t)pages * PAGE || !is_mapped((unsigned)(at / PAGE)))
            return false;
        *value |= (uint64_t)memory[at] << 8 * i;
    }
    return true;
}

static bool ip_of(const struct orc_table *table, uint64_t i, uint64_t *ip)
{
    uint64_t at = table->ips + 4 * i, distance;

    if (!number_at(at, 4, &distance))
        return false;
    *ip = at + (uint64_t)(int64_t)(int32_t)distance;
    return true;
}

/* struct orc_entry of the versions of the kernel. `sp` and `bp` are letters for the bases:
 * previous sp, ax, dx, di, bp, sp, r10, r13 (0, 3), what bp or sp points to (B, S). */
struct naive_entry {
    int64_t sp_offset, bp_offset;
    char sp, bp;
    enum { UNDEFINED, END, CALL, REGS, PARTIAL, BAD } type;
    bool signal;
};

static bool entry_of(const struct orc_table *table, enum orc_form form, uint64_t i,
                     struct naive_entry *entry)
{
    const char *letters = form == ORC_RENUMBERED ? "-adsbi03pSB-----" : "-pdibs03BSa-----";
    uint64_t at = table->entries + 6 * i, sp_offset, bp_offset, bases, high;
    unsigned type;

    if (!number_at(at, 2, &sp_offset) || !number_at(at + 2, 2, &bp_offset) ||
        !number_at(at + 4, 1, &bases) || !number_at(at + 5, 1, &high))
        return false;
    entry->sp_offset = (int16_t)sp_offset;
    entry->bp_offset = (int16_t)bp_offset;
    entry->sp = letters[bases % 16];
    entry->bp = letters[bases / 16];
    if (bases / 16 > 10)
        entry->bp = 'x';
    if (form == ORC_TYPES || form == ORC_RENUMBERED) {
        type = high % 8;
        entry->type = type < BAD ? type : BAD;
        entry->signal = high & 8;
        return true;
    }
    type = high % 4;
    entry->type = type == 3 ? BAD : CALL + type;
    entry->signal = form == ORC_SIGNAL ? (high & 4) != 0 : type == 1 || type == 2;
    if (bases % 16 == 0)
        entry->type = high & (form == ORC_SIGNAL ? 8 : 4) ? END : UNDEFINED;
    return true;
}

static bool same_base(char letter, enum orc_base base)
{
    static const char letters[] = {
        [ORC_NONE] = '-',        [ORC_PREVIOUS_SP] = 'p', [ORC_AX] = 'a',
        [ORC_DX] = 'd',          [ORC_DI] = 'i',          [ORC_BP] = 'b',
        [ORC_SP] = 's',          [ORC_R10] = '0',         [ORC_R13] = '3',
        [ORC_BP_INDIRECT] = 'B', [ORC_SP_INDIRECT] = 'S', [ORC_INVALID] = '-'};

    return letters[base] == letter || (letter == 'x' && base == ORC_INVALID);
}

/* Lookups ---------------------------------------------------------------------------------
 */

/* The last entry at or before an address, in a table that ascends: 1; 0: none; -1: it does
 * not ascend, or is not all there. */
static int search(const struct orc_table *table, uint64_t address, uint64_t *found)
{
    uint64_t ip, before = 0;
    int result = 0;

    for (uint64_t i = 0; i < table->count; i++) {
        if (!ip_of(table, i, &ip) || ip < before)
            return -1;
        before = ip;
        if (ip <= address) {
            *found = i;
            result = 1;
        }
    }
    return result;
}

static void check_entry(const struct orc_table *table, enum orc_form form, uint64_t i,
                        const struct orc_entry *entry)
{
    struct naive_entry naive;

    MUST(entry_of(table, form, i, &naive));
    MUST(entry->sp_offset == naive.sp_offset && entry->bp_offset == naive.bp_offset);
    MUST(same_base(naive.sp, entry->sp) && same_base(naive.bp, entry->bp));
    MUST(entry->type == (enum orc_type)naive.type);
    MUST(entry->type < ORC_CALL || entry->signal == naive.signal);
}

static void check_lookup(struct space *space, const struct orc_table *table,
                         enum orc_form form, uint64_t address)
{
    struct qvm_error *err = fuzz_error();
    struct orc_entry entry;
    uint64_t i = 0, number;
    bool found;
    int expected = search(table, address, &i);

    if (orc_find(space, table, form, address, &entry, &found, err) != 0) {
        fuzz_failed(err, "0x");
        MUST(expected != 0);
        MUST(expected < 0 || !number_at(table->entries + 6 * i, 6, &number));
        return;
    }
    MUST(expected < 0 || found == (expected > 0));
    if (expected > 0)
        check_entry(table, form, i, &entry);
}

/* The form that the contents of a table tell; UNKNOWN: none. */
static enum orc_form census(const struct orc_table *table)
{
    uint32_t call[2] = {0}, plain = 0, regs[2] = {0};
    uint64_t bits;

    for (uint64_t i = 0; i < table->count; i++) {
        MUST(number_at(table->entries + 6 * i + 4, 2, &bits));
        if (bits >= 4096)
            return ORC_UNKNOWN;
        plain += bits == 5;
        call[0] += bits % 2048 == 0x205;
        call[1] += bits % 2048 == 0x203;
        regs[bits / 1024 % 2] += (bits & 0x30f) == 0x105;
    }
    if (plain > table->count / 4 && plain >= call[0] && plain >= call[1])
        return regs[1] > regs[0] ? ORC_SIGNAL : ORC_END;
    if (call[0] > table->count / 4 && call[0] >= call[1])
        return ORC_TYPES;
    return call[1] > table->count / 4 ? ORC_RENUMBERED : ORC_UNKNOWN;
}

static enum orc_form detect(struct space *space, const struct orc_table *table)
{
    struct orc_census state = {0};
    struct qvm_error *err = fuzz_error();
    enum orc_form form = ORC_UNKNOWN;
    uint64_t byte;

    if (orc_detect(space, table, &state, &form, err) != 0) {
        fuzz_failed(err, "0x");
        for (uint64_t i = 0; i < 6 * (uint64_t)table->count; i++)
            if (!number_at(table->entries + i, 1, &byte))
                return ORC_UNKNOWN;
        MUST(false);
    }
    MUST(form == census(table));
    return form;
}

/* The walk, naively -----------------------------------------------------------------------
 */

static const struct orc_tables *all;

static const struct orc_table *table_of(uint64_t address)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->table[i].first <= address && address <= all->table[i].last)
            return &all->table[i];
    return NULL;
}

static bool is_code(uint64_t address)
{
    unsigned page = (unsigned)((address - BASE) / PAGE);

    return table_of(address) ||
           (address >= BASE && address - BASE < (uint64_t)pages * PAGE && is_mapped(page) &&
            !is_data(page));
}

static bool word_at(uint64_t address, uint64_t *word)
{
    return address % 8 == 0 && number_at(address, 8, word);
}

struct naive {
    uint64_t value[REG_COUNT];
    uint32_t known;
    bool exact;
    bool jumped; /* maybe to another stack */
    enum orc_how how;
};

static bool get(const struct naive *state, enum orc_register number, uint64_t *value)
{
    *value = state->value[number];
    return state->known >> number & 1;
}

/* The entry for a state's code. False: the table is not sorted, or not all there. */
static bool entry_for(struct naive *state, struct naive_entry *entry)
{
    uint64_t address = state->value[REG_IP] - !state->exact, i = 0;
    const struct orc_table *table = table_of(address);
    int found = table ? search(table, address, &i) : 0;

    if (found != 0)
        return found > 0 && entry_of(table, all->form, i, entry);
    *entry = (struct naive_entry){.sp_offset = 8, .sp = 's', .bp = '-', .type = CALL};
    if (is_code(address)) {
        *entry = (struct naive_entry){
            .sp_offset = 16, .bp_offset = -16, .sp = 'b', .bp = 'p', .type = CALL};
        state->how = FRAME_POINTER;
    }
    return true;
}

static bool sp_of(const struct naive *state, const struct naive_entry *entry, uint64_t *sp)
{
    uint64_t offset = (uint64_t)entry->sp_offset;

    switch (entry->sp) {
    case 'a': return get(state, REG_AX, sp);
    case 'd': return get(state, REG_DX, sp);
    case 'i': return get(state, REG_DI, sp);
    case '0': return get(state, REG_R10, sp);
    case '3': return get(state, REG_R13, sp);
    case 's': *sp = state->value[REG_SP] + offset; return true;
    case 'b':
        if (!get(state, REG_BP, sp))
            return false;
        *sp += offset;
        return true;
    case 'B': return get(state, REG_BP, sp) && word_at(*sp + offset, sp);
    case 'S':
        if (!word_at(state->value[REG_SP], sp))
            return false;
        *sp += offset;
        return true;
    default: return false;
    }
}

/* What a step ends with. */
enum outcome { WENT_ON, AT_END, LOST, TABLES_BROKEN };

static enum outcome leave(struct naive *state, const struct naive_entry *entry, uint64_t sp)
{
    unsigned first = entry->type == REGS ? 0 : REG_IP;

    if (entry->type == CALL) {
        if (!word_at(sp - 8, &state->value[REG_IP]) || !is_code(state->value[REG_IP] - 1))
            return LOST;
        state->value[REG_SP] = sp;
        state->known &= 1u << REG_IP | 1u << REG_SP | 1u << REG_BP;
        state->exact = entry->signal;
        return WENT_ON;
    }
    for (unsigned i = first; i < REG_COUNT; i++) {
        if (!word_at(sp + 8 * (i - first), &state->value[i]))
            return LOST;
        state->known |= 1u << i;
    }
    state->value[REG_CS] %= 65536;
    state->value[REG_SS] %= 65536;
    state->exact = entry->signal;
    state->how = FRAME_EXCEPTION;
    if (state->value[REG_CS] == 0)
        return state->value[REG_IP] == 0 ? AT_END : LOST;
    return WENT_ON;
}

static enum outcome naive_step(struct naive *state)
{
    uint64_t bp = state->value[REG_BP], sp;
    bool has_bp = state->known >> REG_BP & 1;
    struct naive_entry entry;
    enum outcome outcome;

    state->how = FRAME_ORC;
    if (!entry_for(state, &entry))
        return TABLES_BROKEN;
    if (entry.type == END)
        return AT_END;
    if (entry.type == UNDEFINED || entry.type == BAD || !sp_of(state, &entry, &sp))
        return LOST;
    state->jumped = entry.type != CALL || (entry.sp != 's' && entry.sp != 'b');
    outcome = leave(state, &entry, sp);
    if (outcome != WENT_ON || entry.bp == '-')
        return outcome;
    if (entry.bp != 'p' && !(entry.bp == 'b' && has_bp))
        return LOST;
    state->known |= 1u << REG_BP;
    if (!word_at((entry.bp == 'p' ? sp : bp) + (uint64_t)entry.bp_offset,
                 &state->value[REG_BP]))
        return LOST;
    return WENT_ON;
}

/* Follows a walk with steps of its own. */
static void follow(const struct orc_walk *walk, const struct orc_registers *start,
                   bool exact)
{
    struct naive state = {.known = start->known, .exact = exact}, before;
    enum outcome outcome;

    memcpy(state.value, start->value, sizeof state.value);
    for (size_t i = 0; i < walk->count; i++) {
        before = state;
        outcome = naive_step(&state);
        if (outcome == TABLES_BROKEN)
            return;
        MUST(outcome == WENT_ON);
        MUST(walk->frames[i].address == state.value[REG_IP]);
        MUST(walk->frames[i].how == state.how);
        MUST(state.how != FRAME_EXCEPTION || (state.value[REG_CS] & 3) != 3);
        MUST(state.jumped || state.value[REG_SP] > before.value[REG_SP] ||
             state.value[REG_SP] / 16384 != before.value[REG_SP] / 16384);
    }
    if (walk->end == WALK_FULL)
        return;
    outcome = naive_step(&state);
    if (outcome == TABLES_BROKEN)
        return;
    MUST((walk->end == WALK_END) == (outcome == AT_END));
    if (walk->end == WALK_USER)
        MUST(outcome == WENT_ON && state.how == FRAME_EXCEPTION &&
             (state.value[REG_CS] & 3) == 3 && walk->registers.known == state.known &&
             memcmp(walk->registers.value, state.value, sizeof state.value) == 0);
}

/* -----------------------------------------------------------------------------------------
 */

static int walk_all(struct orc_walk *walk, struct qvm_error *err)
{
    for (int calls = 0; orc_walk(walk, err) != 0; calls++) {
        if (err->code != QVM_INCOMPLETE)
            return -1;
        MUST(calls < STEPS_MAX);
    }
    MUST(walk->count <= ORC_FRAMES_MAX && walk->switches <= ORC_SWITCHES_MAX);
    MUST((walk->end == WALK_FULL) == (walk->count == ORC_FRAMES_MAX));
    return 0;
}

static void use(struct space *space, const struct orc_registers *registers, bool exact,
                uint64_t seed)
{
    static struct orc_walk walk, again;
    struct qvm_error *err = fuzz_error();

    orc_walk_init(&walk, all, space, registers, exact);
    MUST(walk_all(&walk, err) == 0);
    follow(&walk, registers, exact);
    fuzz_faults(seed);
    orc_walk_init(&again, all, space, registers, exact);
    if (walk_all(&again, err) == 0)
        MUST(again.count == walk.count && again.end == walk.end &&
             memcmp(again.frames, walk.frames, walk.count * sizeof walk.frames[0]) == 0);
    fuzz_faults_end();
}

static struct dump *open_dump(void)
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
    return dump;
}

static void read_tables(struct fuzz_input *input, struct orc_table table[2])
{
    for (unsigned i = 0; i < 2; i++) {
        table[i].first = BASE + fuzz_take(input, 2);
        table[i].last = BASE + fuzz_take(input, 2);
        table[i].ips = BASE + fuzz_take(input, 2);
        table[i].entries = BASE + fuzz_take(input, 2);
        table[i].count = (uint32_t)fuzz_take(input, 2) % COUNT_MAX;
    }
}

static struct orc_registers read_registers(struct fuzz_input *input, bool odd)
{
    struct orc_registers registers;

    registers.known = (uint32_t)fuzz_take(input, 4) & ((1u << REG_COUNT) - 1);
    registers.known |= 1u << REG_IP | 1u << REG_SP;
    for (unsigned i = 0; i < REG_COUNT; i++)
        registers.value[i] = fuzz_take(input, 2) + BASE;
    for (unsigned i = 0; odd && i < REG_COUNT; i++)
        registers.value[i] = registers.value[i] << 45 | registers.value[i];
    return registers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct space space;
    static struct orc_table table[2];
    struct fuzz_input input = {data + 1, size - 1};
    struct orc_tables known = {.space = &space, .table = table};
    struct orc_registers registers;
    unsigned options;

    if (size < 1 + HEADER || size - 1 > sizeof memory)
        return 0;
    options = data[0];
    memset(memory, 0, sizeof memory);
    memcpy(memory, data + 1, size - 1);
    pages = (unsigned)((size - 1 + PAGE - 1) / PAGE);
    has_data = options & 8;
    lacks_page = options & 16;
    fill_tables();
    memset(&space, 0, sizeof space);
    space.has[SPACE_LOWER] = true;
    space.half[SPACE_LOWER] =
        (struct paging){.kind = PAGING_X86_64, .va_bits = 48, .page_shift = 12};
    MUST(paging_setup(&space.half[SPACE_LOWER], fuzz_error()) == 0);
    space_init(&space, open_dump());
    read_tables(&input, table);
    registers = read_registers(&input, options & 32);
    known.count = options & 64 ? 1 : 2;
    known.form = detect(&space, &table[0]);
    if (known.form == ORC_UNKNOWN)
        known.form = (enum orc_form)(ORC_END + options % 4);
    all = &known;
    for (unsigned i = 0; i < REG_COUNT; i++)
        check_lookup(&space, &table[i % 2], known.form, registers.value[i]);
    use(&space, &registers, !(options & 4), fuzz_hash(data, size));
    dump_close(space.dump);
    return 0;
}
