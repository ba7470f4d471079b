/* Reads the symbol table of an ELF file (System V ABI, "Symbol Table") in one pass, with a
 * buffer for its entries. Names are looked up one by one through the file's cache, so that
 * neither the size of the string table nor entries that share one long name cost memory.
 * Most names are short: a first read of a few bytes usually has the NUL. */
#include "dump/elf_symbols.h"

#include "dump/elf_notes.h"
#include "util/bytes.h"

#include <string.h>

enum { SHT_SYMTAB = 2, SHT_NOTE = 7, SHT_DYNSYM = 11, SHN_UNDEF = 0 };
enum { STT_SECTION = 3, STT_FILE = 4, NT_GNU_BUILD_ID = 3 };
/* NAME_GUESS: bytes of the first read of a name. The others bound the search for a build
 * id. */
enum { NAME_GUESS = 64, NOTE_SECTIONS_MAX = 64, NOTES_MAX = 64 };

/* Where the fields of an entry are; st_name is the first four bytes. */
struct layout {
    unsigned size, info, section, value, bytes, word;
};

/*     Elf32_Sym   name(4) value(4) size(4) info(1) other(1) shndx(2)      16 bytes
 *     Elf64_Sym   name(4) info(1) other(1) shndx(2) value(8) size(8)      24 bytes */
static const struct layout layout32 = {16, 12, 14, 4, 8, 4};
static const struct layout layout64 = {24, 4, 6, 8, 16, 8};

static const struct layout *layout_of(const struct elf *elf)
{
    return elf->bits == 32 ? &layout32 : &layout64;
}

/* Finds the first section of a type. 1; 0 where there is none; -1. */
static int find_section(const struct elf *elf, const struct image_file *file,
                        uint32_t count, uint32_t type, struct elf_section *found,
                        struct qvm_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sections_read(elf, file, i, found, err) != 0)
            return -1;
        if (found->type == type)
            return 1;
    }
    return 0;
}

/* Finds the table and its names, and checks that the file has both. */
static int find_table(struct elf_symbols *s, struct qvm_error *err)
{
    uint32_t count;
    int found;

    if (elf_read_header(&s->elf, &s->file, err) != 0 ||
        sections_count(&s->elf, &s->file, &count, err) != 0)
        return -1;
    /* .dynsym, the symbols that a loader needs, is left where .symtab was stripped. */
    found = find_section(&s->elf, &s->file, count, SHT_SYMTAB, &s->table, err);
    if (found == 0)
        found = find_section(&s->elf, &s->file, count, SHT_DYNSYM, &s->table, err);
    if (found < 0)
        return -1;
    if (found == 0)
        return qvm_fail(err, QVM_MALFORMED, "%s: an ELF file without a symbol table",
                        s->file.path);
    if (s->table.link >= count)
        return qvm_fail(err, QVM_MALFORMED,
                        "%s: the symbol table's names are in section %u of %u",
                        s->file.path, (unsigned)s->table.link, (unsigned)count);
    if (sections_read(&s->elf, &s->file, s->table.link, &s->names, err) != 0 ||
        image_file_check(&s->file, s->table.offset, s->table.file_size, err) != 0)
        return -1;
    return image_file_check(&s->file, s->names.offset, s->names.file_size, err);
}

/* Unpacking a file for each name would take too long, so a compressed one is refused. */
int elf_symbols_open(struct elf_symbols *s, const char *path, struct qvm_error *err)
{
    s->is_open = false;
    s->next = s->skipped = 0;
    s->buffered = s->used = 0;
    if (image_file_open(&s->file, path, false, err) != 0)
        return -1;
    s->is_open = true;
    if (s->file.gzip)
        qvm_fail(err, QVM_UNSUPPORTED, "%s: compressed by gzip: gzip -d it first", path);
    else if (find_table(s, err) == 0)
        return 0;
    elf_symbols_close(s);
    return -1;
}

/* The buffer is part of the object: there is only the file to close. */
void elf_symbols_close(struct elf_symbols *s)
{
    if (s->is_open)
        image_file_close(&s->file);
    s->is_open = false;
}

/* Fills the buffer with whole entries where it is used up. False at the table's end, and
 * where that fails: then *status is -1. An incomplete entry at the table's end is ignored.
 */
static bool has_entry(struct elf_symbols *s, unsigned size, int *status,
                      struct qvm_error *err)
{
    uint64_t left = s->table.file_size - s->next;
    size_t most = sizeof s->buffer / size * size;

    if (s->used < s->buffered)
        return true;
    s->used = 0;
    s->buffered = left < most ? (size_t)left / size * size : most;
    if (s->buffered == 0)
        return false;
    *status =
        image_file_read(&s->file, s->table.offset + s->next, s->buffer, s->buffered, err);
    if (*status != 0)
        s->buffered = 0;
    s->next += s->buffered;
    return *status == 0;
}

/* Reads a name, up to its NUL. 1; 0 where it is too long or not in the string table; -1. */
static int read_name(struct elf_symbols *s, uint32_t at, struct elf_symbol *symbol,
                     struct qvm_error *err)
{
    uint64_t left = at < s->names.file_size ? s->names.file_size - at : 0;
    size_t most = left < sizeof symbol->name ? (size_t)left : sizeof symbol->name;
    size_t size = most < NAME_GUESS ? most : NAME_GUESS;
    const char *end;

    if (left == 0)
        return 0;
    if (image_file_read_cached(&s->file, s->names.offset + at, symbol->name, size, err) !=
        0)
        return -1;
    end = memchr(symbol->name, '\0', size);
    if (!end && size < most) { /* a long name: again, with all the room there is */
        if (image_file_read_cached(&s->file, s->names.offset + at, symbol->name, most,
                                   err) != 0)
            return -1;
        end = memchr(symbol->name, '\0', most);
    }
    if (!end) {
        s->skipped++;
        return 0;
    }
    symbol->name_size = (size_t)(end - symbol->name);
    return 1;
}

/* Mapping symbols mark where code and data begin: $a, $d, $t, $x, with or without a suffix
 * after a dot (ELF for the Arm 64-bit Architecture). An Arm kernel has many. */
static bool is_mapping(const char *name)
{
    return name[0] == '$' && name[1] != '\0' && strchr("adtx", name[1]) &&
           (name[2] == '\0' || name[2] == '.');
}

/* Entries that name no place in the program are skipped before their names are read.
 * `budget` counts entries, skipped ones too, so a table of millions of entries that name
 * nothing returns to the caller in between. */
int elf_symbols_next(struct elf_symbols *s, struct elf_symbol *symbol, unsigned *budget,
                     struct qvm_error *err)
{
    const struct layout *layout = layout_of(&s->elf);
    bool big = s->elf.big_endian;
    int status = 0;

    while (*budget > 0 && has_entry(s, layout->size, &status, err)) {
        const unsigned char *entry = s->buffer + s->used;
        unsigned kind = entry[layout->info] & 15u;

        s->used += layout->size;
        --*budget;
        if (kind == STT_FILE || kind == STT_SECTION || bytes_u32(entry, big) == 0 ||
            bytes_u16(entry + layout->section, big) == SHN_UNDEF)
            continue;
        symbol->value = bytes_get(entry + layout->value, layout->word, big);
        symbol->size = bytes_get(entry + layout->bytes, layout->word, big);
        status = read_name(s, bytes_u32(entry, big), symbol, err);
        if (status < 0)
            return -1;
        if (status > 0 && symbol->name_size > 0 && !is_mapping(symbol->name))
            return 1;
        status = 0;
    }
    return status;
}

/* Finds the build id among the notes of one section: the section is given to the iterator
 * as if it were a segment. */
static size_t find_build_id(struct elf_symbols *s, const struct elf_section *section,
                            unsigned char *id)
{
    struct elf_segment segment = {
        .type = ELF_PT_NOTE, .offset = section->offset, .filesz = section->file_size};
    struct elf elf = s->elf;
    struct elf_notes notes;
    struct elf_note note;
    struct qvm_error ignored;
    char name[4];

    if (image_file_check(&s->file, section->offset, section->file_size, &ignored) != 0)
        return 0;
    elf.segments = &segment;
    elf.count = 1;
    elf_notes_init(&notes, &elf, &s->file, -1);
    for (int i = 0; i < NOTES_MAX && elf_notes_next(&notes, &note, &ignored) == 1; i++)
        if (note.type == NT_GNU_BUILD_ID && note.name_size == sizeof name &&
            note.size > 0 && note.size <= ELF_BUILD_ID_MAX &&
            image_file_read(&s->file, note.name_at, name, sizeof name, &ignored) == 0 &&
            memcmp(name, "GNU", sizeof name) == 0 &&
            image_file_read(&s->file, note.offset, id, note.size, &ignored) == 0)
            return note.size;
    return 0;
}

/* Failures are not reported: a build id is one of several ways to tell whether the symbols
 * are those of the kernel in a dump, and symbols without one can be used. */
size_t elf_symbols_build_id(struct elf_symbols *s, unsigned char id[ELF_BUILD_ID_MAX])
{
    struct elf_section section;
    struct qvm_error ignored;
    uint32_t count;
    unsigned looked_at = 0;
    size_t size = 0;

    if (sections_count(&s->elf, &s->file, &count, &ignored) != 0)
        return 0;
    for (uint32_t i = 0; i < count && size == 0 && looked_at < NOTE_SECTIONS_MAX; i++) {
        if (sections_read(&s->elf, &s->file, i, &section, &ignored) != 0)
            return 0;
        if (section.type == SHT_NOTE) { /* a file may have several */
            size = find_build_id(s, &section, id);
            looked_at++;
        }
    }
    return size;
}
