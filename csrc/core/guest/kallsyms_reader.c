/* Reads the table in stages: its head, the tokens, the names, the numbers that addresses
 * are made of. A guest can write anything there, so all of it is checked here, once, and
 * copied: lookups rely on it and outlive the dump.
 *
 * Names and numbers are streams of whole pages. A stream ends at memory that it has read
 * before through other pages, since a table that is mapped repeatedly would have no end.
 *
 * Symbol i is the i-th name and the i-th number:
 *
 *     num_syms         count                                      u32
 *     names            length, bytes; length, bytes; ...          read from the start
 *     token_table      256 texts, each ended by a NUL
 *     token_index      256 u16: where a token's text begins in the table
 *     offsets          count numbers of 4 bytes (or addresses, 8 bytes: older kernels)
 *     relative_base    what the numbers are relative to, before 7.0
 *
 * The symbols of these names give the places: see kallsyms_location. A stage that fails
 * with INCOMPLETE is entered again where it was, as the reader keeps all of its state. */
#include "guest/kallsyms_reader.h"

#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = KALLSYMS_PAGE, PAGES_AT_ONCE = 64, CHUNK = 256 };

/* Bytes of compressed names: those of the expanded ones, and lengths. A name of tokens
 * without characters takes more; kernels have none. */
enum { BYTES_MAX = KALLSYMS_NAMES_MAX + 2 * KALLSYMS_COUNT_MAX };

/* The longest name, with its length: so much is ahead of the decoder. A name of
 * KALLSYMS_NAME_MAX bytes at most is accepted, so twice that holds it and its two bytes of
 * length. */
enum { AHEAD = 2 * KALLSYMS_NAME_MAX };

enum { ROOM_MAX = BYTES_MAX + AHEAD + PAGE };

/* Pages of a stream. The numbers are fewer than the bytes of names. */
enum { PAGES_MAX = ROOM_MAX / PAGE + 8 * KALLSYMS_COUNT_MAX / PAGE + 4 };

enum { STAGE_HEAD, STAGE_TOKENS, STAGE_NAMES, STAGE_NUMBERS, STAGE_DONE };

int kallsyms_reader_init(struct kallsyms_reader *reader, struct space *space,
                         const struct kallsyms_location *location, struct qvm_error *err)
{
    *reader =
        (struct kallsyms_reader){.space = space, .location = *location, .stext = SIZE_MAX};
    reader->table = kallsyms_new(err);
    if (!reader->table)
        return -1;
    reader->pages = malloc(PAGES_MAX * sizeof *reader->pages);
    if (!reader->pages) {
        kallsyms_reader_free(reader);
        return qvm_fail_memory(err, "symbols");
    }
    return 0;
}

void kallsyms_reader_free(struct kallsyms_reader *reader)
{
    kallsyms_free(reader->table);
    free(reader->pages);
    reader->table = NULL;
    reader->pages = NULL;
}

static int fail_form(struct qvm_error *err)
{
    return qvm_fail(err, QVM_NOT_FOUND,
                    "its table of symbols (kallsyms) is not in the dump, or has an unknown "
                    "form");
}

static int fail_names(struct qvm_error *err)
{
    return qvm_fail(err, QVM_TOO_LARGE,
                    "its symbols (kallsyms) have names of more than %d MiB",
                    KALLSYMS_NAMES_MAX >> 20);
}

/* The stream has ended before the table. */
static int fail_end(const struct kallsyms_reader *reader, struct qvm_error *err)
{
    if (reader->is_repeated)
        return qvm_fail(err, QVM_MALFORMED,
                        "its table of symbols (kallsyms) is mapped to the same memory "
                        "again and again");
    return fail_form(err);
}

static int read_memory(const struct kallsyms_reader *reader, uint64_t address, void *to,
                       size_t n, struct qvm_error *err)
{
    return space_read(reader->space, address, to, n, err);
}

/* The same for what must be there. Memory that is not in the dump means that the place of
 * the table is wrong, or its page was left out. Both are the same to the caller. */
static int read_needed(const struct kallsyms_reader *reader, uint64_t address, void *to,
                       size_t n, struct qvm_error *err)
{
    if (read_memory(reader, address, to, n, err) == 0)
        return 0;
    return err->code == QVM_INCOMPLETE ? -1 : fail_form(err);
}

/* The stream -----------------------------------------------------------------------------
 */

static void begin_stream(struct kallsyms_reader *reader, uint64_t address)
{
    reader->next = address;
    reader->ended = reader->is_repeated = false;
    reader->page_count = 0;
}

/* Adds the physical page that is mapped at an address. False: it is not new. Quadratic in
 * the pages, of which PAGES_MAX are some 5000: 13 million comparisons at most, some
 * milliseconds. */
static bool add_page(struct kallsyms_reader *reader, uint64_t physical)
{
    for (size_t i = 0; i < reader->page_count; i++)
        if (reader->pages[i] == physical)
            return false;
    if (reader->page_count == PAGES_MAX)
        return false;
    reader->pages[reader->page_count++] = physical;
    return true;
}

/* Reads up to the end of the page, up to PAGE bytes. *n: how many; 0: the stream has ended.
 * 0, or -1: incomplete. Whole pages, so that a page is in memory or not, and each physical
 * page counts once. */
static int next_bytes(struct kallsyms_reader *reader, unsigned char *to, size_t *n,
                      struct qvm_error *err)
{
    size_t size = PAGE - reader->next % PAGE;
    uint64_t physical, left;

    *n = 0;
    if (reader->ended)
        return 0;
    if (read_memory(reader, reader->next, to, size, err) != 0 ||
        space_translate(reader->space, reader->next - reader->next % PAGE, &physical, &left,
                        err) != 0) {
        reader->ended = err->code != QVM_INCOMPLETE;
        return reader->ended ? 0 : -1;
    }
    if (!add_page(reader, physical)) {
        reader->ended = reader->is_repeated = true;
        return 0;
    }
    reader->next += size;
    *n = size;
    return 0;
}

/* The head and the tokens ----------------------------------------------------------------
 */

/* Read before room for the symbols is made: a hostile count would otherwise claim
 * gigabytes. */
static int read_count(struct kallsyms_reader *reader, struct qvm_error *err)
{
    unsigned char bytes[4];
    uint32_t count;

    if (read_needed(reader, reader->location.num_syms, bytes, sizeof bytes, err) != 0)
        return -1;
    count = bytes_u32(bytes, reader->space->dump->elf.big_endian);
    if (count > KALLSYMS_COUNT_MAX)
        return qvm_fail(err, QVM_TOO_LARGE,
                        "its table of symbols (kallsyms) has %lu of them, more than %d",
                        (unsigned long)count, KALLSYMS_COUNT_MAX);
    reader->count = count;
    return 0;
}

/* Three forms, told apart by the symbols that the kernel has: no offsets, so numbers are
 * addresses; a relative base; or neither, so each number is relative to its own place (7.0
 * and later). */
static int read_base(struct kallsyms_reader *reader, struct qvm_error *err)
{
    const struct kallsyms_location *location = &reader->location;
    const struct elf *elf = &reader->space->dump->elf;
    unsigned char bytes[8];

    reader->base = location->has_offsets ? location->offsets : 0;
    if (!location->has_offsets || !location->has_relative_base)
        return 0;
    if (read_needed(reader, location->relative_base, bytes, elf->bits / 8, err) != 0)
        return -1;
    reader->base = bytes_get(bytes, elf->bits / 8, elf->big_endian);
    return 0;
}

static int read_head(struct kallsyms_reader *reader, struct qvm_error *err)
{
    if (read_base(reader, err) != 0)
        return -1;
    reader->stage = STAGE_TOKENS;
    return 0;
}

/* Reads the characters up to a NUL, at most KALLSYMS_NAME_MAX. Where not all of a chunk is
 * in the dump, one character at a time. */
static int read_token(const struct kallsyms_reader *reader, uint64_t address,
                      struct kallsyms_token *token, struct qvm_error *err)
{
    size_t size = 0;

    while (size < KALLSYMS_NAME_MAX) {
        size_t n = KALLSYMS_NAME_MAX - size < CHUNK ? KALLSYMS_NAME_MAX - size : CHUNK;
        const char *end;

        if (address + size < address)
            return fail_form(err);
        if (read_memory(reader, address + size, token->text + size, n, err) != 0) {
            n = 1;
            if (err->code == QVM_INCOMPLETE ||
                read_needed(reader, address + size, token->text + size, n, err) != 0)
                return -1;
        }
        end = memchr(token->text + size, '\0', n);
        size = end ? (size_t)(end - token->text) : size + n;
        if (end)
            break;
    }
    token->size = (uint32_t)size;
    return 0;
}

/* `tokens` counts those that are complete, so the stage resumes with the first that is not.
 * The index is read again each time: 512 bytes. */
static int read_tokens(struct kallsyms_reader *reader, struct qvm_error *err)
{
    const struct kallsyms_location *location = &reader->location;
    unsigned char index[2 * KALLSYMS_TOKENS];

    if (read_needed(reader, location->token_index, index, sizeof index, err) != 0)
        return -1;
    while (reader->tokens < KALLSYMS_TOKENS) {
        unsigned i = reader->tokens;
        uint16_t at = bytes_u16(index + (size_t)2 * i, reader->space->dump->elf.big_endian);

        if (read_token(reader, location->token_table + at, &reader->table->tokens[i],
                       err) != 0)
            return err->code == QVM_INCOMPLETE ? -1 : fail_form(err);
        kallsyms_hash_token(reader->table, i);
        reader->tokens++;
    }
    if (read_count(reader, err) != 0)
        return -1;
    reader->table->symbols =
        malloc((reader->count ? reader->count : 1) * sizeof *reader->table->symbols);
    if (!reader->table->symbols)
        return qvm_fail_memory(err, "symbols");
    begin_stream(reader, location->names);
    reader->stage = STAGE_NAMES;
    return 0;
}

/* Names ----------------------------------------------------------------------------------
 */

/* Makes room for a page. Doubles, up to ROOM_MAX, so that reading a table of n bytes copies
 * O(n). */
static int make_room(struct kallsyms_reader *reader, struct qvm_error *err)
{
    size_t room = reader->room ? 2 * reader->room : LIMIT(1 << 20, 2 * PAGE);
    unsigned char *names;

    if (reader->room - reader->table->names_size >= PAGE)
        return 0;
    if (room > ROOM_MAX)
        room = ROOM_MAX;
    if (room - reader->table->names_size < PAGE)
        return fail_names(err);
    names = realloc(reader->table->names, room);
    if (!names)
        return qvm_fail_memory(err, "symbols");
    reader->table->names = names;
    reader->room = room;
    return 0;
}

/* Adds a page to the compressed names. */
static int add_names(struct kallsyms_reader *reader, struct qvm_error *err)
{
    size_t n;

    if (make_room(reader, err) != 0 ||
        next_bytes(reader, reader->table->names + reader->table->names_size, &n, err) != 0)
        return -1;
    reader->table->names_size += n;
    return 0;
}

static bool is_stext(const struct kallsyms *table, size_t at)
{
    static const char STEXT[] = "_stext";
    char name[KALLSYMS_NAME_MAX];

    return kallsyms_name(table, at, name) == sizeof STEXT - 1 &&
           memcmp(name, STEXT, sizeof STEXT - 1) == 0;
}

/* Decodes the next name. Three ends are told apart: a length that no kernel writes (0, or
 * too long) means another form; a name that goes on past the stream means that the table is
 * cut, or repeated; too many characters in all mean a table that is too large. `expanded`
 * bounds the time of later lookups of all names. */
static int add_symbol(struct kallsyms_reader *reader, struct qvm_error *err)
{
    struct kallsyms *table = reader->table;
    struct kallsyms_symbol *symbol = &table->symbols[table->count];
    size_t at = reader->decoded, length = kallsyms_length(table, &at), size;
    uint32_t hash;

    if (at > reader->decoded && (length == 0 || length > KALLSYMS_NAME_MAX))
        return fail_form(err);
    if (at == reader->decoded || length > table->names_size - at)
        return fail_end(reader, err);
    size = kallsyms_measure(table, table->names + at, length, &hash);
    reader->expanded += size;
    if (size > KALLSYMS_NAME_MAX)
        return fail_form(err);
    if (reader->expanded > KALLSYMS_NAMES_MAX)
        return fail_names(err);
    *symbol = (struct kallsyms_symbol){.name = (uint32_t)reader->decoded, .next = hash};
    if (reader->stext == SIZE_MAX && size == sizeof "T_stext" - 1 &&
        is_stext(table, reader->decoded))
        reader->stext = table->count;
    reader->decoded = at + length;
    table->count++;
    return 0;
}

/* Gives back the room that is not used. */
static void trim(struct kallsyms_reader *reader)
{
    struct kallsyms *table = reader->table;
    unsigned char *names = realloc(table->names, reader->decoded ? reader->decoded : 1);

    if (names)
        table->names = names;
    table->names_size = reader->decoded;
}

/* Decodes while a whole name is certainly there, else reads one more page. When the stream
 * has ended, the rest is decoded as far as it goes. */
static int read_names(struct kallsyms_reader *reader, struct qvm_error *err)
{
    const struct kallsyms_location *location = &reader->location;
    struct kallsyms *table = reader->table;

    for (unsigned pages = 0; table->count < reader->count;) {
        if (table->names_size - reader->decoded >= AHEAD || reader->ended) {
            if (add_symbol(reader, err) != 0)
                return -1;
        } else if (pages++ == PAGES_AT_ONCE) {
            return qvm_fail(err, QVM_INCOMPLETE, "symbols");
        } else if (add_names(reader, err) != 0) {
            return -1;
        }
    }
    trim(reader);
    begin_stream(reader, location->has_offsets ? location->offsets : location->addresses);
    reader->stage = STAGE_NUMBERS;
    return 0;
}

/* Addresses ------------------------------------------------------------------------------
 */

/* Makes an address of a number in the table, by the ways of kernels through time. */
enum way { WAY_PLACE, WAY_BASE, WAY_PERCPU, WAY_ADDRESS, WAYS };

static bool is_possible(const struct kallsyms_location *location, enum way way)
{
    switch (way) {
    case WAY_PLACE: return location->has_offsets && !location->has_relative_base;
    case WAY_BASE:
    case WAY_PERCPU: return location->has_relative_base;
    default: return location->has_addresses;
    }
}

/*     WAY_PLACE      address of offsets[i] + offsets[i]
 *     WAY_BASE       relative_base + (u32) offsets[i]
 *     WAY_PERCPU     offsets[i] >= 0: offsets[i], else relative_base - 1 - offsets[i]
 *     WAY_ADDRESS    addresses[i]
 *
 * Source: kallsyms_sym_address() in kernel/kallsyms.c of Linux. Numbers of 4 bytes were
 * extended by their sign, hence the mask. */
static uint64_t address_of(const struct kallsyms_reader *reader, enum way way, size_t i)
{
    uint64_t number = reader->table->symbols[i].address, base = reader->base;

    switch (way) {
    case WAY_PLACE: return base + 4 * i + number; /* 7.0: from the entry's own address */
    case WAY_BASE: return base + (number & UINT32_MAX);
    /* Offsets of per-CPU variables are kept as they are; the others are negative. */
    case WAY_PERCPU: return number >> 63 ? base - 1 - number : number;
    default: return number;
    }
}

/* Turns the numbers into addresses, by the way that gives `_stext` its own. The table does
 * not say which way is right: that depends on the version and configuration of the kernel.
 * The address of _stext is known from VMCOREINFO. */
static int make_addresses(struct kallsyms_reader *reader, struct qvm_error *err)
{
    enum way way = WAY_PLACE;

    if (reader->stext == SIZE_MAX)
        return fail_form(err);
    while (way < WAYS && (!is_possible(&reader->location, way) ||
                          address_of(reader, way, reader->stext) != reader->location.stext))
        way++;
    if (way == WAYS)
        return fail_form(err);
    for (size_t i = 0; i < reader->count; i++)
        reader->table->symbols[i].address = address_of(reader, way, i);
    return kallsyms_finish(reader->table, err);
}

static uint64_t sign_extended(uint64_t value, unsigned size)
{
    return size == 4 && value >> 31 ? value | UINT64_MAX << 32 : value;
}

/* Decodes the numbers of a page. One may begin on the page before. A number that two pages
 * share is the `rest`, at most size - 1 bytes, in front of the next page's bytes. */
static int add_numbers(struct kallsyms_reader *reader, unsigned size, struct qvm_error *err)
{
    bool big_endian = reader->space->dump->elf.big_endian;
    unsigned char *bytes = reader->bytes;
    size_t at = 0, n;

    if (next_bytes(reader, bytes + reader->rest, &n, err) != 0)
        return -1;
    if (n == 0)
        return fail_end(reader, err);
    n += reader->rest;
    for (; reader->numbers < reader->count && n - at >= size; at += size)
        reader->table->symbols[reader->numbers++].address =
            sign_extended(bytes_get(bytes + at, size, big_endian), size);
    reader->rest = n - at < size ? n - at : 0;
    memmove(bytes, bytes + at, reader->rest);
    return 0;
}

static int read_numbers(struct kallsyms_reader *reader, struct qvm_error *err)
{
    unsigned size = reader->location.has_offsets ? 4 : reader->space->dump->elf.bits / 8;

    for (unsigned pages = 0; reader->numbers < reader->count; pages++) {
        if (pages == PAGES_AT_ONCE)
            return qvm_fail(err, QVM_INCOMPLETE, "symbols");
        if (add_numbers(reader, size, err) != 0)
            return -1;
    }
    if (make_addresses(reader, err) != 0)
        return -1;
    reader->stage = STAGE_DONE;
    return 0;
}

int kallsyms_read(struct kallsyms_reader *reader, struct qvm_error *err)
{
    static int (*const stages[])(struct kallsyms_reader *,
                                 struct qvm_error *) = {[STAGE_HEAD] = read_head,
                                                        [STAGE_TOKENS] = read_tokens,
                                                        [STAGE_NAMES] = read_names,
                                                        [STAGE_NUMBERS] = read_numbers};

    while (reader->stage != STAGE_DONE)
        if (stages[reader->stage](reader, err) != 0)
            return -1;
    return 0;
}
