/* Reads the table in stages: its head, the tokens, the names, the numbers that addresses
 * are made of. A guest can write anything there, so all of it is checked here, once, and
 * copied: lookups rely on it and outlive the dump. Names and numbers are streams of pages
 * (page_stream.h).
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

#include "guest/kallsyms_addresses.h"
#include "util/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = PAGE_STREAM_SIZE, PAGES_AT_ONCE = 64, CHUNK = 256 };

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
    if (page_stream_init(&reader->stream, space, PAGES_MAX, "symbols", err) == 0)
        return 0;
    kallsyms_reader_free(reader);
    return -1;
}

void kallsyms_reader_free(struct kallsyms_reader *reader)
{
    kallsyms_free(reader->table);
    page_stream_free(&reader->stream);
    reader->table = NULL;
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
    if (reader->stream.is_repeated)
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

/* The head and the tokens ------------------------------------------------------------ */

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
    page_stream_begin(&reader->stream, location->names);
    reader->stage = STAGE_NAMES;
    return 0;
}

/* Names ------------------------------------------------------------------------------ */

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
        page_stream_next(&reader->stream, reader->table->names + reader->table->names_size,
                         &n, err) != 0)
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
        if (table->names_size - reader->decoded >= AHEAD || reader->stream.ended) {
            if (add_symbol(reader, err) != 0)
                return -1;
        } else if (pages++ == PAGES_AT_ONCE) {
            return qvm_fail(err, QVM_INCOMPLETE, "symbols");
        } else if (add_names(reader, err) != 0) {
            return -1;
        }
    }
    trim(reader);
    page_stream_begin(&reader->stream,
                      location->has_offsets ? location->offsets : location->addresses);
    reader->stage = STAGE_NUMBERS;
    return 0;
}

/* Numbers ---------------------------------------------------------------------------- */

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

    if (page_stream_next(&reader->stream, bytes + reader->rest, &n, err) != 0)
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
    if (reader->stext == SIZE_MAX ||
        !kallsyms_make_addresses(reader->table, &reader->location, reader->base,
                                 reader->stext))
        return fail_form(err);
    if (kallsyms_finish(reader->table, err) != 0)
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
