/* What an ELF file has besides memory: segments, sections, notes, and their bytes. Each is
 * returned by its position; iterators are made of that in Lua. Bytes are returned only of
 * what is in the file, up to BYTES_MAX: a header may claim anything. */
#include "dump_handle.h"

#include "dump/elf_sections.h"

#define BYTES_MAX (64 << 20)

/* segment(dump, index from 0): a table; nothing after the last. */
static int method_segment(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2);
    const struct elf_segment *segment;

    if (!dump)
        return push_closed(L);
    if (index < 0 || index >= (lua_Integer)dump->elf.count)
        return 0;
    segment = &dump->elf.segments[index];
    lua_createtable(L, 0, 8);
    set_u64(L, "index", (uint64_t)index);
    set_u64(L, "type", segment->type);
    set_u64(L, "flags", segment->flags);
    set_u64(L, "offset", segment->offset);
    set_u64(L, "vaddr", segment->vaddr);
    set_u64(L, "paddr", segment->paddr);
    set_u64(L, "filesz", segment->filesz);
    set_u64(L, "memsz", segment->memsz);
    return 1;
}

/* section_count(dump): 0 for a file without section headers. */
static int method_section_count(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    struct qvm_error err;
    uint32_t count;

    if (!dump)
        return push_closed(L);
    while (sections_count(&dump->elf, &dump->file, &count, &err) != 0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    lua_pushinteger(L, count);
    return 1;
}

/* section(dump, index from 0, below the count): a table. */
static int method_section(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2);
    struct elf_section section;
    struct qvm_error err;

    if (!dump)
        return push_closed(L);
    while (sections_read_named(&dump->elf, &dump->file, (uint32_t)index, &section, &err) !=
           0)
        if (!poll_incomplete(L, &err))
            return push_failure(L, &err);
    lua_createtable(L, 0, 8);
    set_u64(L, "index", (uint64_t)index);
    set_string(L, "name", section.name);
    set_u64(L, "type", section.type);
    set_u64(L, "flags", section.flags);
    set_u64(L, "addr", section.addr);
    set_u64(L, "offset", section.offset);
    set_u64(L, "size", section.size);
    set_u64(L, "filesz", section.file_size);
    return 1;
}

/* Pushes bytes of the file, or a failure. Returns the number of values. */
static int push_bytes(lua_State *L, const struct dump *dump, uint64_t offset, uint64_t size)
{
    struct qvm_error err;
    luaL_Buffer buffer;
    int status;
    char *to;

    if (size > BYTES_MAX)
        qvm_fail(&err, QVM_TOO_LARGE, "%s: more than %d MiB", dump->file.path,
                 BYTES_MAX >> 20);
    else if (image_file_check(&dump->file, offset, size, &err) == 0) {
        to = luaL_buffinitsize(L, &buffer, (size_t)size);
        while ((status = image_file_read(&dump->file, offset, to, (size_t)size, &err)) != 0)
            if (!poll_incomplete(L, &err))
                break;
        if (status == 0) {
            luaL_pushresultsize(&buffer, (size_t)size);
            return 1;
        }
    }
    return push_failure(L, &err);
}

/* bytes(dump, offset in the file, size): a string. Negative numbers are huge, and fail. */
static int method_bytes(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    uint64_t offset = (uint64_t)luaL_checkinteger(L, 2);
    uint64_t size = (uint64_t)luaL_checkinteger(L, 3);

    return dump ? push_bytes(L, dump, offset, size) : push_closed(L);
}

/* note(dump, segment, bytes into it): the first note from there on, a table; and its end,
 * as segment and bytes into it, where the next one begins; nothing after the last. */
static int method_note(lua_State *L)
{
    struct dump *dump = *check_dump(L, 1);
    struct elf_notes notes;
    struct elf_note note;
    struct qvm_error err;
    int found;

    if (!dump)
        return push_closed(L);
    dump_notes_init(dump, &notes);
    notes.segment = (unsigned)luaL_checkinteger(L, 2);
    notes.at = (uint64_t)luaL_checkinteger(L, 3);
    while ((found = elf_notes_next(&notes, &note, &err)) < 0)
        if (!poll_incomplete(L, &err))
            break;
    if (found <= 0)
        return found < 0 ? push_failure(L, &err) : 0;
    lua_createtable(L, 0, 6);
    set_u64(L, "segment", note.segment);
    set_u64(L, "type", note.type);
    set_u64(L, "offset", note.offset);
    set_u64(L, "filesz", note.size);
    found = push_bytes(L, dump, note.name_at, note.name_size);
    if (found != 1)
        return found;
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, notes.segment);
    lua_pushinteger(L, (lua_Integer)notes.at);
    return 3;
}

void add_elf_parts(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"segment", method_segment}, {"section_count", method_section_count},
        {"section", method_section}, {"bytes", method_bytes},
        {"note", method_note},       {NULL, NULL},
    };

    add_pinned(L, methods, false);
}
