/* Reads BTF: a header, then the types one after the other, then the strings. Types have no
 * table: a first pass counts them, a second one notes where each is, a third checks every
 * reference and indexes the names. A module's BTF goes on with the ids and the string
 * offsets of the kernel's, and refers to both.
 *
 *     header, 24 bytes    9f eb  01  flags  hdr_len  type_off type_len  str_off str_len
 *     types               id 1, id 2, ... without gaps; id 0 is void and has no bytes
 *     strings             "\0int\0task_struct\0..."; offset 0 is the empty name
 *
 *     type, 12 bytes      name_off  info  size or type
 *     info                31: kind_flag   28..24: kind   15..0: vlen, the number of parts
 *     then                what the kind has: see `layouts`
 *
 * For example `struct list_head { struct list_head *next, *prev; }`, with id 5 and, as id
 * 6, the pointer to it:
 *
 *     5    "list_head"  kind 4, vlen 2  size 16    "next" type 6 at bit 0
 *                                                  "prev" type 6 at bit 64
 *     6    ""           kind 2, vlen 0  type 5
 *
 * What the checks give: every id below end_id and every name below end_string can be
 * followed, each type lies within the bytes, and no chain of references has more than
 * BTF_CHAIN_MAX links. The rest of the room relies on that and checks nothing again. */
#include "guest/btf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0xeb9f, VERSION = 1, TYPE_SIZE = 12 };

/* Bytes that follow the 12 of a type: fixed, and for each of its parts. */
static const struct {
    uint8_t fixed, each;
} layouts[BTF_KINDS] = {
    [BTF_INT] = {4, 0},     [BTF_ARRAY] = {12, 0},   [BTF_STRUCT] = {0, 12},
    [BTF_UNION] = {0, 12},  [BTF_ENUM] = {0, 8},     [BTF_FUNC_PROTO] = {0, 8},
    [BTF_VAR] = {4, 0},     [BTF_DATASEC] = {0, 12}, [BTF_DECL_TAG] = {4, 0},
    [BTF_ENUM64] = {0, 12},
};

/* For these kinds the word that is the size of others is the id of a type. */
bool btf_refers(enum btf_kind kind)
{
    return kind == BTF_PTR || (kind >= BTF_TYPEDEF && kind <= BTF_VAR) ||
           kind == BTF_DECL_TAG || kind == BTF_TYPE_TAG;
}

/* Header ----------------------------------------------------------------------------- */

struct header {
    uint64_t types_at, types_size, strings_at, strings_size;
};

static bool is_big_endian(const unsigned char *p)
{
    return bytes_u16(p, true) == MAGIC;
}

/* Offsets count from the end of the header, whose length the header states: a later version
 * may have a longer one. The sums are of 32-bit numbers in 64 bits and cannot wrap. */
static bool decode_header(const unsigned char *p, struct header *header)
{
    bool big_endian = is_big_endian(p);
    uint64_t size = bytes_u32(p + 4, big_endian);

    if (bytes_u16(p, big_endian) != MAGIC || size < BTF_HEADER_SIZE)
        return false;
    header->types_at = size + bytes_u32(p + 8, big_endian);
    header->types_size = bytes_u32(p + 12, big_endian);
    header->strings_at = size + bytes_u32(p + 16, big_endian);
    header->strings_size = bytes_u32(p + 20, big_endian);
    return true;
}

uint64_t btf_total_size(const unsigned char p[BTF_HEADER_SIZE])
{
    struct header header;
    uint64_t types, strings;

    if (!decode_header(p, &header) || p[2] != VERSION)
        return 0;
    types = header.types_at + header.types_size;
    strings = header.strings_at + header.strings_size;
    return types > strings ? types : strings;
}

static int malformed(struct qvm_error *err, const char *subject, const char *what)
{
    return qvm_fail(err, QVM_MALFORMED, "%s: bad type information: %s", subject, what);
}

/* Has every string an end, and is none too long? Names may begin within one. */
static bool strings_are_good(const struct btf *btf)
{
    const char *p = btf->strings;

    for (size_t left = btf->strings_size, size; left > 0; left -= size, p += size) {
        const char *end = memchr(p, '\0', left);

        if (!end || end - p > BTF_NAME_MAX)
            return false;
        size = (size_t)(end - p) + 1;
    }
    return true;
}

/* With a NUL as the last byte of the strings, any offset below their size is the start of a
 * text that ends within them. The first string is empty, so that a name of 0 means none; a
 * module's strings continue the kernel's and begin with any. */
static int read_header(struct btf *btf, const unsigned char *bytes, size_t size,
                       const char *subject, struct qvm_error *err)
{
    struct header header;

    if (size > BTF_SIZE_MAX)
        return qvm_fail(err, QVM_TOO_LARGE,
                        "%s: type information of %" PRIu64 " bytes, more than %u", subject,
                        (uint64_t)size, (unsigned)BTF_SIZE_MAX);
    if (size < BTF_HEADER_SIZE || !decode_header(bytes, &header))
        return qvm_fail(err, QVM_MALFORMED, "%s: not type information in the form of BTF",
                        subject);
    if (bytes[2] != VERSION)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: version %u of BTF, not %u", subject,
                        bytes[2], VERSION);
    if (header.types_at + header.types_size > size ||
        header.strings_at + header.strings_size > size)
        return qvm_fail(err, QVM_TRUNCATED,
                        "%s: type information of %" PRIu64 " bytes, of which %" PRIu64
                        " are there",
                        subject, btf_total_size(bytes), (uint64_t)size);
    btf->big_endian = is_big_endian(bytes);
    btf->types = bytes + header.types_at;
    btf->types_size = (uint32_t)header.types_size;
    btf->strings = (const char *)bytes + header.strings_at;
    btf->strings_size = (uint32_t)header.strings_size;
    if (!strings_are_good(btf))
        return malformed(err, subject, "a string without an end, or a very long one");
    if (!btf->base && (btf->strings_size == 0 || btf->strings[0] != '\0'))
        return malformed(err, subject, "the first string is not empty");
    return 0;
}

/* Types ------------------------------------------------------------------------------ */

/* A module's base is the kernel's BTF, which has no base. */
const char *btf_string(const struct btf *btf, uint32_t offset)
{
    while (offset < btf->first_string)
        btf = btf->base;
    return btf->strings + (offset - btf->first_string);
}

static inline enum btf_kind kind_of(uint32_t info)
{
    return (enum btf_kind)(info >> 24 & 31);
}

/* Types are decoded when they are asked for: all that is kept of each is its offset, 4
 * bytes. The name is only good once is_good() has seen it. */
struct btf_type btf_type(const struct btf *btf, uint32_t id)
{
    struct btf_type type = {.name = ""};
    const unsigned char *p;
    uint32_t info;

    while (id < btf->first_id && btf->base)
        btf = btf->base;
    if (id == 0)
        return type;
    p = btf->types + btf->offsets[id - btf->first_id];
    info = btf_word(btf, p + 4);
    type.id = id;
    type.kind = kind_of(info);
    type.name = btf_string(btf, btf_word(btf, p));
    type.count = info & 0xffff;
    type.flag = info >> 31;
    type.size = btf_word(btf, p + 8);
    type.extra = p + TYPE_SIZE;
    return type;
}

/* Bytes of the type at an offset; 0: malformed. At most 12 + 12 * 65535 bytes, and at least
 * TYPE_SIZE if good: loops over the types advance. */
static uint64_t size_of_type(const struct btf *btf, uint32_t at)
{
    uint32_t left = btf->types_size - at, info;
    uint64_t size;

    if (left < TYPE_SIZE)
        return 0;
    info = btf_word(btf, btf->types + at + 4);
    if (kind_of(info) == BTF_VOID || kind_of(info) >= BTF_KINDS)
        return 0;
    size = TYPE_SIZE + layouts[kind_of(info)].fixed +
           (uint64_t)layouts[kind_of(info)].each * (info & 0xffff);
    return size <= left ? size : 0;
}

static int bad_type(const struct btf *btf, uint32_t at, const char *subject,
                    struct qvm_error *err)
{
    uint32_t kind = 0;

    if (btf->types_size - at >= TYPE_SIZE)
        kind = kind_of(btf_word(btf, btf->types + at + 4));
    if (kind >= BTF_KINDS)
        return qvm_fail(err, QVM_UNSUPPORTED,
                        "%s: type information with an unknown kind of type (%" PRIu32 ")",
                        subject, kind);
    return malformed(err, subject,
                     kind == 0 ? "a type of kind 0, or half a one"
                               : "the last type has no end");
}

/* Ids and string offsets have 32 bits for the base and the module together. */
static int count_types(struct btf *btf, const char *subject, struct qvm_error *err)
{
    uint32_t count = 0;

    for (uint64_t at = 0, size; at < btf->types_size; at += size, count++)
        if ((size = size_of_type(btf, (uint32_t)at)) == 0)
            return bad_type(btf, (uint32_t)at, subject, err);
    btf->end_id = btf->first_id + count;
    btf->end_string = btf->first_string + btf->strings_size;
    if (btf->end_id < count || btf->end_string < btf->strings_size)
        return malformed(err, subject, "more than its base leaves room for");
    return 0;
}

/* Buckets are a power of two, 1 to 2 for each type. With BTF_SIZE_MAX bytes of types there
 * are at most 2^21, so no product overflows. */
static int allocate(struct btf *btf, const char *subject, struct qvm_error *err)
{
    size_t count = btf->end_id - btf->first_id;

    btf->bucket_count = 64;
    while (btf->bucket_count < count)
        btf->bucket_count *= 2;
    btf->offsets = calloc(count + 1, sizeof *btf->offsets);
    btf->chain = malloc((count + 1) * sizeof *btf->chain);
    btf->buckets = calloc(btf->bucket_count, sizeof *btf->buckets);
    if (!btf->offsets || !btf->chain || !btf->buckets)
        return qvm_fail_memory(err, subject);
    return 0;
}

static void locate_types(struct btf *btf)
{
    uint32_t index = 0;

    for (uint32_t at = 0; at < btf->types_size; index++) {
        btf->offsets[index] = at;
        at += (uint32_t)size_of_type(btf, at);
    }
}

/* Checks ----------------------------------------------------------------------------- */

/* Are all names and ids of what follows a type good? Every part of one begins with its
 * name, except for a DATASEC's, and has a type second or, as a DATASEC's, first. */
static bool parts_are_good(const struct btf *btf, const struct btf_type *type)
{
    bool has_name = type->kind != BTF_DATASEC;
    bool has_type = type->kind == BTF_STRUCT || type->kind == BTF_UNION ||
                    type->kind == BTF_FUNC_PROTO || type->kind == BTF_DATASEC;
    const unsigned char *p = type->extra;

    for (uint32_t i = 0; i < type->count; i++, p += layouts[type->kind].each) {
        if (has_name && btf_word(btf, p) >= btf->end_string)
            return false;
        if (has_type && btf_word(btf, p + (has_name ? 4 : 0)) >= btf->end_id)
            return false;
    }
    return true;
}

/* The name is checked before btf_type(), which looks it up. */
static bool is_good(const struct btf *btf, uint32_t id)
{
    const unsigned char *p = btf->types + btf->offsets[id - btf->first_id];
    struct btf_type type;

    if (btf_word(btf, p) >= btf->end_string)
        return false;
    type = btf_type(btf, id);
    if (btf_refers(type.kind) && type.size >= btf->end_id)
        return false;
    if (type.kind == BTF_ARRAY)
        return btf_word(btf, type.extra) < btf->end_id &&
               btf_word(btf, type.extra + 4) < btf->end_id;
    return layouts[type.kind].each == 0 || parts_are_good(btf, &type);
}

/* The type that one leads to; 0: none, or one of the base, which is checked. */
static uint32_t next_in_chain(const struct btf *btf, uint32_t id)
{
    const unsigned char *p = btf->types + btf->offsets[id - btf->first_id];
    enum btf_kind kind = kind_of(btf_word(btf, p + 4));
    uint32_t next = 0;

    if (btf_refers(kind))
        next = btf_word(btf, p + 8);
    else if (kind == BTF_ARRAY)
        next = btf_word(btf, p + TYPE_SIZE);
    return next < btf->first_id ? 0 : next;
}

/* Follows each chain of references once. The lengths that are known by then are in
 * `depths`, in which 0 is unknown.
 *
 *     const -> pointer -> volatile -> int      depths 4, 3, 2, 1
 *
 * A walk from a type stops at one whose depth is known, and then gives each type on its
 * path a depth, one more than that of the next. So each type is entered once: linear in
 * their number. A loop never comes to a known depth and exceeds BTF_CHAIN_MAX. Members of
 * structures are no links: a structure may refer to itself by them. */
static bool chains_end(const struct btf *btf, unsigned char *depths)
{
    uint32_t path[BTF_CHAIN_MAX];

    for (uint32_t first = btf->first_id; first < btf->end_id; first++) {
        unsigned count = 0, depth = 0;

        for (uint32_t id = first; id != 0; id = next_in_chain(btf, id)) {
            depth = depths[id - btf->first_id];
            if (depth > 0)
                break;
            if (count == BTF_CHAIN_MAX)
                return false;
            path[count++] = id;
        }
        while (count > 0 && ++depth <= BTF_CHAIN_MAX)
            depths[path[--count] - btf->first_id] = (unsigned char)depth;
        if (depth > BTF_CHAIN_MAX)
            return false;
    }
    return true;
}

static int check_chains(const struct btf *btf, const char *subject, struct qvm_error *err)
{
    unsigned char *depths = calloc(btf->end_id - btf->first_id + (size_t)1, 1);
    bool good;

    if (!depths)
        return qvm_fail_memory(err, subject);
    good = chains_end(btf, depths);
    free(depths);
    return good ? 0 : malformed(err, subject, "types that refer to each other in a loop");
}

/* Loading ---------------------------------------------------------------------------- */

/* The order matters: offsets need the count, checks need the offsets, and only names that
 * were checked are indexed. */
static int load(struct btf *btf, const char *subject, struct qvm_error *err)
{
    if (count_types(btf, subject, err) != 0 || allocate(btf, subject, err) != 0)
        return -1;
    locate_types(btf);
    for (uint32_t id = btf->first_id; id < btf->end_id; id++)
        if (!is_good(btf, id))
            return qvm_fail(err, QVM_MALFORMED,
                            "%s: bad type information: type %" PRIu32
                            " refers to a type or a name that is not there",
                            subject, id);
    if (check_chains(btf, subject, err) != 0)
        return -1;
    btf_index_names(btf);
    return 0;
}

int btf_init(struct btf *btf, const unsigned char *bytes, size_t size,
             const struct btf *base, const char *subject, struct qvm_error *err)
{
    memset(btf, 0, sizeof *btf);
    btf->base = base;
    btf->pointer_size = base ? base->pointer_size : 8;
    btf->first_id = base ? base->end_id : 1;
    btf->first_string = base ? base->end_string : 0;
    if (read_header(btf, bytes, size, subject, err) != 0)
        return -1;
    if (base && base->big_endian != btf->big_endian)
        return malformed(err, subject, "its byte order is not that of its base");
    if (load(btf, subject, err) == 0)
        return 0;
    btf_free(btf);
    return -1;
}

void btf_free(struct btf *btf)
{
    free(btf->offsets);
    free(btf->buckets);
    free(btf->chain);
    btf->offsets = btf->buckets = btf->chain = NULL;
}
