/* Resolves references to types. Every loop here ends, since btf_init has checked that no
 * chain of references in the BTF has a loop. */
#include "guest/btf_ref.h"

#include <string.h>

/* A reference is a type and, around it, pointers and arrays that the BTF does not have. For
 * `struct page *[4]`:
 *
 *     id          struct page
 *     depth       2               pointer first, then the array of it
 *     pointers    binary 01       bit i: level i is a pointer, otherwise an array
 *     length      0, 4
 *
 * The outermost level is the last one, depth - 1. */
static bool is_pointer(const struct btf_ref *ref)
{
    return ref->pointers >> (ref->depth - 1) & 1;
}

bool btf_pointer_to(const struct btf_ref *to, struct btf_ref *ref)
{
    *ref = *to;
    if (ref->depth == BTF_DERIVED_MAX)
        return false;
    ref->pointers |= (uint8_t)(1u << ref->depth);
    ref->length[ref->depth++] = 0;
    return true;
}

bool btf_array_of(const struct btf_ref *of, uint32_t length, struct btf_ref *ref)
{
    *ref = *of;
    if (ref->depth == BTF_DERIVED_MAX)
        return false;
    ref->pointers &= (uint8_t) ~(1u << ref->depth);
    ref->length[ref->depth++] = length;
    return true;
}

/* Bits of `pointers` at or above the depth are left from levels that were taken off. */
bool btf_same_ref(const struct btf_ref *a, const struct btf_ref *b)
{
    unsigned used = (1u << a->depth) - 1;

    return a->id == b->id && a->depth == b->depth &&
           ((a->pointers ^ b->pointers) & used) == 0 &&
           memcmp(a->length, b->length, a->depth * sizeof a->length[0]) == 0;
}

/* Takes off the outermost level; without one, follows the type's own reference. */
bool btf_target(const struct btf *btf, const struct btf_ref *ref, struct btf_ref *target)
{
    struct btf_type type;
    uint32_t length;

    *target = *ref;
    if (ref->depth > 0) {
        target->depth--;
        return true;
    }
    type = btf_type(btf, ref->id);
    if (btf_refers(type.kind))
        target->id = type.size;
    else if (type.kind == BTF_ARRAY)
        target->id = btf_array(btf, &type, &length);
    else
        return false;
    return true;
}

/* Typedefs and the like; a variable is one of its type. */
static bool is_transparent(enum btf_kind kind)
{
    return (kind >= BTF_TYPEDEF && kind <= BTF_FUNC) || kind == BTF_VAR ||
           kind == BTF_DECL_TAG || kind == BTF_TYPE_TAG;
}

static struct btf_type type_behind(const struct btf *btf, uint32_t id)
{
    struct btf_type type = btf_type(btf, id);

    while (is_transparent(type.kind))
        type = btf_type(btf, type.size);
    return type;
}

/* Without the arrays' lengths. */
static void shape_of_type(const struct btf *btf, const struct btf_type *type,
                          struct btf_shape *shape)
{
    uint32_t offset, bits, encoding;

    shape->kind = type->kind;
    shape->id = type->id;
    shape->size = type->size;
    shape->has_size = type->kind == BTF_INT || type->kind == BTF_STRUCT ||
                      type->kind == BTF_UNION || type->kind == BTF_ENUM ||
                      type->kind == BTF_ENUM64 || type->kind == BTF_FLOAT ||
                      type->kind == BTF_DATASEC;
    shape->is_signed = type->flag && (type->kind == BTF_ENUM || type->kind == BTF_ENUM64);
    if (type->kind != BTF_INT)
        return;
    encoding = btf_int(btf, type, &offset, &bits);
    shape->is_signed = encoding & BTF_INT_SIGNED;
    shape->is_bool = encoding & BTF_INT_BOOL;
    shape->is_char = type->size == 1 && strcmp(type->name, "char") == 0;
}

/* All but the size of an array. */
static void shape_but_size(const struct btf *btf, const struct btf_ref *ref,
                           struct btf_shape *shape)
{
    struct btf_type type;

    memset(shape, 0, sizeof *shape);
    if (ref->depth > 0) {
        shape->kind = is_pointer(ref) ? BTF_PTR : BTF_ARRAY;
        shape->length = ref->length[ref->depth - 1];
        btf_target(btf, ref, &shape->target);
    } else {
        type = type_behind(btf, ref->id);
        shape_of_type(btf, &type, shape);
        if (type.kind == BTF_PTR)
            shape->target.id = type.size;
        else if (type.kind == BTF_ARRAY)
            shape->target.id = btf_array(btf, &type, &shape->length);
    }
    if (shape->kind == BTF_PTR) {
        shape->size = btf->pointer_size;
        shape->has_size = true;
    }
}

/* The size of an array is the product of all its dimensions and the size of the innermost
 * element. A product that does not fit 64 bits leaves it without a size. Chains of the BTF
 * are at most BTF_CHAIN_MAX long, so the loop over the dimensions ends. */
void btf_shape(const struct btf *btf, const struct btf_ref *ref, struct btf_shape *shape)
{
    struct btf_shape element;
    struct btf_ref target;
    uint64_t count;

    shape_but_size(btf, ref, shape);
    if (shape->kind != BTF_ARRAY)
        return;
    count = shape->length;
    shape_but_size(btf, &shape->target, &element);
    while (element.kind == BTF_ARRAY) {
        if (element.length > 0 && count > UINT64_MAX / element.length)
            return;
        count *= element.length;
        target = element.target;
        shape_but_size(btf, &target, &element);
    }
    if (!element.has_size || (element.size > 0 && count > UINT64_MAX / element.size))
        return;
    shape->size = count * element.size;
    shape->has_size = true;
}

/*     little-endian    bit i of the field is bit (offset + i) % 8 of byte (offset + i) / 8
 *     big-endian       bits count from the highest of each byte; the first is the highest
 *
 * Bit by bit: a field has at most 64, and this reads no byte that the field does not touch.
 */
uint64_t btf_bits(const unsigned char *bytes, unsigned offset, unsigned bits,
                  bool big_endian)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bits; i++) {
        unsigned at = offset + i;
        uint64_t bit = bytes[at / 8] >> (big_endian ? 7 - at % 8 : at % 8) & 1;

        value |= bit << (big_endian ? bits - 1 - i : i);
    }
    return value;
}
