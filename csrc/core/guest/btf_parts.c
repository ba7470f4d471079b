/* The parts of one type: members, enumerators, parameters; members by name; and types by
 * the beginning of their names. */
#include "guest/btf.h"

#include <string.h>

/* With kind_flag the upper 8 bits of the offset are the bits of a bitfield. Without, that
 * is in the integer's encoding.
 *
 *     member, 12 bytes         name_off  type  offset
 *     offset, kind_flag 0      31..0: bits from the start of the structure
 *     offset, kind_flag 1      31..24: bits of the bitfield, 0 if none   23..0: offset */
struct btf_member btf_member(const struct btf *btf, const struct btf_type *type,
                             uint32_t index)
{
    const unsigned char *p = type->extra + (size_t)12 * index;
    struct btf_member member;

    member.name_at = btf_word(btf, p);
    member.name = btf_string(btf, member.name_at);
    member.type = btf_word(btf, p + 4);
    member.bit_offset = btf_word(btf, p + 8);
    member.bits = 0;
    if (type->flag) {
        member.bits = member.bit_offset >> 24;
        member.bit_offset &= 0xffffff;
    } else if (member.type != 0) {
        struct btf_type of = btf_type(btf, member.type);
        uint32_t offset = 0, bits = 0;

        if (of.kind == BTF_INT) {
            btf_int(btf, &of, &offset, &bits);
            member.bits = bits != 8 * (uint64_t)of.size ? bits : 0;
            member.bit_offset += member.bits ? offset : 0;
        }
    }
    return member;
}

/*     ENUM      name_off  value             32 bits, signed if kind_flag is set
 *     ENUM64    name_off  low  high
 *
 * A signed value is extended to 64 bits. */
const char *btf_enumerator(const struct btf *btf, const struct btf_type *type,
                           uint32_t index, uint64_t *value)
{
    bool is_64 = type->kind == BTF_ENUM64;
    const unsigned char *p = type->extra + (size_t)(is_64 ? 12 : 8) * index;

    *value = btf_word(btf, p + 4);
    if (is_64)
        *value |= (uint64_t)btf_word(btf, p + 8) << 32;
    else if (type->flag && *value >> 31)
        *value |= UINT64_MAX << 32;
    return btf_string(btf, btf_word(btf, p));
}

uint32_t btf_section_variable(const struct btf *btf, const struct btf_type *type,
                              uint32_t index, uint32_t *offset)
{
    const unsigned char *p = type->extra + (size_t)12 * index;

    *offset = btf_word(btf, p + 4);
    return btf_word(btf, p);
}

const char *btf_parameter(const struct btf *btf, const struct btf_type *type,
                          uint32_t index, uint32_t *id)
{
    const unsigned char *p = type->extra + (size_t)8 * index;

    *id = btf_word(btf, p + 4);
    return btf_string(btf, btf_word(btf, p));
}

/* element type, index type, number of elements. */
uint32_t btf_array(const struct btf *btf, const struct btf_type *type, uint32_t *length)
{
    *length = btf_word(btf, type->extra + 8);
    return btf_word(btf, type->extra);
}

/* One word: encoding 27..24, offset 23..16, bits 7..0. */
uint32_t btf_int(const struct btf *btf, const struct btf_type *type, uint32_t *offset,
                 uint32_t *bits)
{
    uint32_t data = btf_word(btf, type->extra);

    *offset = data >> 16 & 0xff;
    *bits = data & 0xff;
    return data >> 24 & 0xf;
}

int32_t btf_tagged(const struct btf *btf, const struct btf_type *type)
{
    return (int32_t)btf_word(btf, type->extra);
}

/* Members by name ------------------------------------------------------------------------
 */

enum { NESTED_MAX = 16 };

/* Members that are looked at for one name, and modifiers on the way. Anonymous structures
 * within others could make it endless. A search that needs more than STEPS_FREE, which no
 * kernel comes near (some 300), takes the rest from what all searches share: the cache may
 * be made to miss each time. */
#define STEPS_FREE   LIMIT(1u << 12, 1u << 8)
#define STEPS_SHARED LIMIT(1u << 22, 1u << 12)

/* A structure that is searched, and where in it. */
struct frame {
    struct btf_type type;
    uint32_t index;
    uint64_t bit_offset;
};

static struct btf_type without_modifiers(const struct btf *btf, uint32_t id,
                                         uint32_t *steps)
{
    struct btf_type type = btf_type(btf, id);

    while ((type.kind >= BTF_TYPEDEF && type.kind <= BTF_RESTRICT) ||
           type.kind == BTF_TYPE_TAG) {
        type = btf_type(btf, type.size);
        ++*steps;
    }
    return type;
}

static bool is_structure(const struct btf_type *type)
{
    return type->kind == BTF_STRUCT || type->kind == BTF_UNION;
}

static bool is_named(const char *have, const char *name, size_t size)
{
    return strncmp(have, name, size) == 0 && have[size] == '\0';
}

/* Depth first, as members come: the name's offset, or 0. Members of anonymous structures
 * and unions belong to the one around them, as in C:
 *
 *     struct page { long flags; union { struct { int a; }; int b; }; }
 *     frames      page -> union -> struct       offset of a: all three
 *
 * Without recursion, so that the depth is a limit here and not one of the stack. Anonymous
 * structures that contain each other have no end: after so many steps the search ends, and
 * the name counts as not found. */
static uint32_t search(const struct btf *btf, uint32_t id, const char *name, size_t size,
                       struct btf_found *found, uint32_t *steps)
{
    struct frame frames[NESTED_MAX];
    uint32_t most = STEPS_FREE + STEPS_SHARED - btf->steps;
    unsigned depth = 1;

    frames[0] = (struct frame){.type = without_modifiers(btf, id, steps)};
    while (depth > 0 && is_structure(&frames[0].type)) {
        struct frame *frame = &frames[depth - 1];
        struct btf_member member;
        uint64_t at;

        if (frame->index == frame->type.count || ++*steps > most) {
            depth--;
            continue;
        }
        member = btf_member(btf, &frame->type, frame->index++);
        at = frame->bit_offset + member.bit_offset;
        if (is_named(member.name, name, size)) {
            *found = (struct btf_found){member.type, member.bits, at};
            return member.name_at;
        }
        if (member.name[0] == '\0' && depth < NESTED_MAX) {
            struct btf_type inner = without_modifiers(btf, member.type, steps);

            if (is_structure(&inner))
                frames[depth++] = (struct frame){inner, 0, at};
        }
    }
    return 0;
}

/* One place for each hash, overwritten by the next name that has it. Scripts ask for the
 * same few members in loops. */
static struct btf_cached *cached(struct btf *btf, uint32_t id, const char *name,
                                 size_t size)
{
    uint32_t hash = id * 2654435761u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return &btf->cache[(hash ^ hash >> 16) % BTF_CACHE];
}

/* A slot holds the offset of the name, not the text, so a hit is confirmed by comparing the
 * BTF's own string. */
bool btf_find_member(struct btf *btf, uint32_t id, const char *name, size_t size,
                     struct btf_found *found)
{
    struct btf_cached *slot;
    uint32_t name_at, steps = 0, left = STEPS_SHARED - btf->steps;

    if (size == 0 || size > UINT16_MAX || memchr(name, '\0', size))
        return false;
    slot = cached(btf, id, name, size);
    if (slot->id == id && is_named(btf_string(btf, slot->name), name, size)) {
        *found = slot->found;
        return true;
    }
    name_at = search(btf, id, name, size, found, &steps);
    if (steps > STEPS_FREE)
        btf->steps += steps - STEPS_FREE < left ? steps - STEPS_FREE : left;
    if (name_at == 0)
        return false;
    *slot = (struct btf_cached){id, name_at, *found};
    return true;
}
