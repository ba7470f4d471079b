/* BTF, and a module's that continues it. A reader of its own, which looks through all types
 * for each question, must agree on what is accepted, on every type and its parts, on names,
 * and on the sizes of types.
 *
 * Input: two bytes, the size of the kernel's BTF; its bytes; then the module's, if any. */
#include "fuzz.h"

#include "guest/btf_ref.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, TYPE = 12, TYPES_MAX = 4096, CHECKED = 64, NESTED = 12, STEPS = 200 };

/* One BTF, naively. */
struct model {
    const struct model *base;
    const unsigned char *bytes, *types, *strings;
    bool big;
    uint64_t types_size, strings_size;
    uint32_t first, count, first_string;
    uint32_t at[TYPES_MAX];
};

static struct model models[2];
static struct btf read_btf[2];

static uint64_t number(const unsigned char *p, unsigned size, bool big)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)p[i] << 8 * (big ? size - 1 - i : i);
    return value;
}

/* Reading ---------------------------------------------------------------------------------
 */

static uint32_t word(const struct model *m, const unsigned char *p)
{
    return (uint32_t)number(p, 4, m->big);
}

static uint32_t end_id(const struct model *m)
{
    return m->first + m->count;
}

static uint64_t end_string(const struct model *m)
{
    return m->first_string + m->strings_size;
}

static bool parse_header(struct model *m, const unsigned char *p, uint64_t size)
{
    uint64_t head;

    if (size < HEADER)
        return false;
    m->big = p[0] == 0xeb && p[1] == 0x9f;
    head = number(p + 4, 4, m->big);
    if (number(p, 2, m->big) != 0xeb9f || p[2] != 1 || head < HEADER || size > BTF_SIZE_MAX)
        return false;
    m->types_size = number(p + 12, 4, m->big);
    m->strings_size = number(p + 20, 4, m->big);
    if (head + number(p + 8, 4, m->big) + m->types_size > size ||
        head + number(p + 16, 4, m->big) + m->strings_size > size)
        return false;
    m->types = p + head + number(p + 8, 4, m->big);
    m->strings = p + head + number(p + 16, 4, m->big);
    return true;
}

static bool strings_end(const struct model *m)
{
    uint64_t run = 0;

    for (uint64_t i = 0; i < m->strings_size; i++) {
        run = m->strings[i] ? run + 1 : 0;
        if (run > BTF_NAME_MAX)
            return false;
    }
    if (m->strings_size > 0 && m->strings[m->strings_size - 1])
        return false;
    return m->base || (m->strings_size > 0 && !m->strings[0]);
}

static unsigned kind(const struct model *m, const unsigned char *p)
{
    return word(m, p + 4) >> 24 & 31;
}

static unsigned parts(const struct model *m, const unsigned char *p)
{
    return word(m, p + 4) & 0xffff;
}

/* Bytes of a type: by the list of kinds in the kernel's documentation. */
static uint64_t type_size(const struct model *m, const unsigned char *p)
{
    uint64_t n = parts(m, p);

    switch (kind(m, p)) {
    case 1:
    case 14:
    case 17: return TYPE + 4; /* INT, VAR, DECL_TAG */
    case 3: return TYPE + 12; /* ARRAY */
    case 4:
    case 5:
    case 15:
    case 19: return TYPE + 12 * n; /* STRUCT, UNION, DATASEC, ENUM64 */
    case 6:
    case 13: return TYPE + 8 * n; /* ENUM, FUNC_PROTO */
    case 2:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 16:
    case 18: return TYPE;
    default: return 0;
    }
}

static bool parse_types(struct model *m)
{
    m->count = 0;
    for (uint64_t at = 0, size; at < m->types_size; at += size) {
        if (m->types_size - at < TYPE)
            return false;
        size = type_size(m, m->types + at);
        if (size == 0 || size > m->types_size - at)
            return false;
        MUST(m->count < TYPES_MAX);
        m->at[m->count++] = (uint32_t)at;
    }
    return true;
}

static const unsigned char *type_at(const struct model **m, uint32_t id)
{
    while (id < (*m)->first)
        *m = (*m)->base;
    return (*m)->types + (*m)->at[id - (*m)->first];
}

static const char *text(const struct model *m, uint32_t at)
{
    while (at < m->first_string)
        m = m->base;
    return (const char *)m->strings + (at - m->first_string);
}

/* Kinds whose third word is a type. */
static bool refers(unsigned k)
{
    return k == 2 || (k >= 8 && k <= 14) || k == 17 || k == 18;
}

static bool refers_well(const struct model *m, const unsigned char *p)
{
    unsigned k = kind(m, p);
    const unsigned char *q = p + TYPE;

    if (word(m, p) >= end_string(m) || (refers(k) && word(m, p + 8) >= end_id(m)))
        return false;
    if (k == 3)
        return word(m, q) < end_id(m) && word(m, q + 4) < end_id(m);
    for (unsigned i = 0; i < parts(m, p); i++) {
        if (k == 4 || k == 5) {
            if (word(m, q) >= end_string(m) || word(m, q + 4) >= end_id(m))
                return false;
            q += 12;
        } else if (k == 13) {
            if (word(m, q) >= end_string(m) || word(m, q + 4) >= end_id(m))
                return false;
            q += 8;
        } else if (k == 6 || k == 19) {
            if (word(m, q) >= end_string(m))
                return false;
            q += k == 6 ? 8 : 12;
        } else if (k == 15) {
            if (word(m, q) >= end_id(m))
                return false;
            q += 12;
        }
    }
    return true;
}

/* The types of this BTF that one leads to, itself included. */
static unsigned chain(const struct model *m, uint32_t id)
{
    unsigned count = 0;

    while (id >= m->first && count <= BTF_CHAIN_MAX) {
        const unsigned char *p = m->types + m->at[id - m->first];

        count++;
        id = refers(kind(m, p)) ? word(m, p + 8) : kind(m, p) == 3 ? word(m, p + TYPE) : 0;
    }
    return count;
}

static bool parse(struct model *m, const unsigned char *bytes, uint64_t size,
                  const struct model *base)
{
    m->base = base;
    m->first = base ? end_id(base) : 1;
    m->first_string = base ? (uint32_t)end_string(base) : 0;
    m->bytes = bytes;
    if (!parse_header(m, bytes, size) || !strings_end(m) || (base && base->big != m->big) ||
        !parse_types(m))
        return false;
    for (uint32_t i = 0; i < m->count; i++)
        if (!refers_well(m, m->types + m->at[i]))
            return false;
    for (uint32_t i = 0; i < m->count; i++)
        if (chain(m, m->first + i) > BTF_CHAIN_MAX)
            return false;
    return true;
}

/* Types -----------------------------------------------------------------------------------
 */

/* Bits of a member that is a bitfield, and where it begins. */
static void member_bits(const struct model *m, const unsigned char *p, uint32_t of,
                        uint32_t at, uint32_t *offset, uint32_t *bits)
{
    const struct model *owner = m;
    const unsigned char *q;
    uint32_t data;

    *offset = at;
    *bits = 0;
    if (word(m, p + 4) >> 31) {
        *offset = at % (1u << 24);
        *bits = at >> 24;
    } else if (of != 0) {
        q = type_at(&owner, of);
        data = kind(owner, q) == 1 ? word(owner, q + TYPE) : 0;
        if (kind(owner, q) == 1 && (data & 255) != 0 &&
            (data & 255) != 8 * (uint64_t)word(owner, q + 8)) {
            *bits = data & 255;
            *offset += data >> 16 & 255;
        }
    }
}

static void check_parts(const struct btf *btf, const struct model *m,
                        const unsigned char *p, const struct btf_type *type)
{
    const unsigned char *q = p + TYPE;
    uint32_t id, offset, bits;
    uint64_t value;

    for (uint32_t i = 0; i < type->count && i < CHECKED; i++) {
        if (type->kind == BTF_STRUCT || type->kind == BTF_UNION) {
            struct btf_member member = btf_member(btf, type, i);

            member_bits(m, p, word(m, q + 4), word(m, q + 8), &offset, &bits);
            MUST(strcmp(member.name, text(m, word(m, q))) == 0);
            MUST(member.type == word(m, q + 4) && member.bits == bits &&
                 member.bit_offset == offset);
            q += 12;
        } else if (type->kind == BTF_ENUM) {
            MUST(strcmp(btf_enumerator(btf, type, i, &value), text(m, word(m, q))) == 0);
            MUST(value == (type->flag ? (uint64_t)(int64_t)(int32_t)word(m, q + 4)
                                      : word(m, q + 4)));
            q += 8;
        } else if (type->kind == BTF_ENUM64) {
            btf_enumerator(btf, type, i, &value);
            MUST(value == (word(m, q + 4) | (uint64_t)word(m, q + 8) << 32));
            q += 12;
        } else if (type->kind == BTF_FUNC_PROTO) {
            MUST(strcmp(btf_parameter(btf, type, i, &id), text(m, word(m, q))) == 0);
            MUST(id == word(m, q + 4));
            q += 8;
        }
    }
}

/* The first type of a name and kind, in the module's before the kernel's. */
static uint32_t find(const struct model *m, const char *name, unsigned wanted)
{
    for (; m; m = m->base)
        for (uint32_t i = 0; i < m->count; i++) {
            const unsigned char *p = m->types + m->at[i];

            if (kind(m, p) == wanted && strcmp(text(m, word(m, p)), name) == 0)
                return m->first + i;
        }
    return 0;
}

/* Without modifiers, each of which is a step. */
static uint32_t plain(const struct model *m, uint32_t id, unsigned *steps)
{
    for (;;) {
        const struct model *owner = m;
        const unsigned char *p = id ? type_at(&owner, id) : NULL;
        unsigned k = p ? kind(owner, p) : 0;

        if (!((k >= 8 && k <= 11) || k == 18))
            return id;
        id = word(owner, p + 8);
        ++*steps;
    }
}

/* A member by name, by recursion: 1 found, 0 not, -1 too much to tell. */
static int find_member(const struct model *all, uint32_t id, const char *name,
                       uint64_t base_bits, unsigned depth, unsigned *steps,
                       struct btf_found *found)
{
    const struct model *m = all;
    const unsigned char *p, *q;
    uint32_t offset, bits;

    id = plain(all, id, steps);
    p = id ? type_at(&m, id) : NULL;
    if (!p || (kind(m, p) != 4 && kind(m, p) != 5))
        return 0;
    if (depth == NESTED)
        return -1;
    q = p + TYPE;
    for (unsigned i = 0; i < parts(m, p); i++, q += 12) {
        const char *have = text(m, word(m, q));
        int inner;

        if (++*steps > STEPS)
            return -1;
        member_bits(m, p, word(m, q + 4), word(m, q + 8), &offset, &bits);
        if (strcmp(have, name) == 0) {
            *found = (struct btf_found){word(m, q + 4), bits, base_bits + offset};
            return 1;
        }
        if (have[0])
            continue;
        inner = find_member(all, word(m, q + 4), name, base_bits + offset, depth + 1, steps,
                            found);
        if (inner != 0)
            return inner;
    }
    return 0;
}

static void check_member(struct btf *btf, const struct model *m, uint32_t id,
                         const char *name)
{
    struct btf_found expected = {0}, found = {0};
    unsigned steps = 0;
    int result = find_member(m, id, name, 0, 0, &steps, &expected);

    for (int i = 0; i < 2; i++) { /* the second answer may be remembered */
        bool is_found = btf_find_member(btf, id, name, strlen(name), &found);

        if (result < 0 || name[0] == '\0')
            continue;
        MUST(is_found == (result == 1));
        MUST(!is_found || (found.type == expected.type && found.bits == expected.bits &&
                           found.bit_offset == expected.bit_offset));
    }
}

/* The size of a type; false: it has none, or it overflows. */
static bool size_of(const struct model *all, uint32_t id, uint64_t *size)
{
    const struct model *m = all;
    const unsigned char *p = id ? type_at(&m, id) : NULL;
    uint64_t one, count;

    switch (p ? kind(m, p) : 0) {
    case 1:
    case 4:
    case 5:
    case 6:
    case 15:
    case 16:
    case 19: *size = word(m, p + 8); return true;
    case 2: *size = 8; return true;
    case 3:
        count = word(m, p + TYPE + 8);
        if (!size_of(all, word(m, p + TYPE), &one) ||
            __builtin_mul_overflow(one, count, size))
            return false;
        return true;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 14:
    case 17:
    case 18: return size_of(all, word(m, p + 8), size);
    default: return false;
    }
}

static void check_shape(const struct btf *btf, const struct model *m, uint32_t id)
{
    struct btf_ref ref = {.id = id}, pointer, array, target;
    struct btf_shape shape, element;
    uint64_t size = 0;
    bool has_size = size_of(m, id, &size);

    btf_shape(btf, &ref, &shape);
    /* A product that overflows before a factor of 0 may be told either way. */
    MUST(shape.has_size == has_size || shape.kind == BTF_ARRAY);
    MUST(!shape.has_size || !has_size || shape.size == size);
    MUST(btf_pointer_to(&ref, &pointer) && btf_array_of(&pointer, 3, &array));
    btf_shape(btf, &array, &element);
    MUST(element.kind == BTF_ARRAY && element.has_size && element.size == 24);
    MUST(btf_target(btf, &array, &target) && btf_same_ref(&target, &pointer));
    MUST(btf_target(btf, &target, &target) && btf_same_ref(&target, &ref));
    for (unsigned steps = 0; btf_target(btf, &target, &target); steps++)
        MUST(steps <= 2 * BTF_CHAIN_MAX);
}

static void check_type(struct btf *btf, const struct model *all, uint32_t id)
{
    const struct model *m = all;
    const unsigned char *p = type_at(&m, id);
    struct btf_type type = btf_type(btf, id);
    uint32_t length, offset, bits;
    const char *name = text(m, word(m, p));

    MUST(type.id == id && (unsigned)type.kind == kind(m, p));
    MUST(strcmp(type.name, name) == 0 && type.count == parts(m, p));
    MUST(type.flag == word(m, p + 4) >> 31 && type.size == word(m, p + 8));
    check_parts(btf, m, p, &type);
    check_shape(btf, all, id);
    if (type.kind == BTF_ARRAY) {
        MUST(btf_array(btf, &type, &length) == word(m, p + TYPE));
        MUST(length == word(m, p + TYPE + 8));
    } else if (type.kind == BTF_INT) {
        MUST(btf_int(btf, &type, &offset, &bits) == (word(m, p + TYPE) >> 24 & 15));
        MUST(bits == (word(m, p + TYPE) & 255) &&
             offset == (word(m, p + TYPE) >> 16 & 255));
    } else if (type.kind == BTF_DECL_TAG)
        MUST(btf_tagged(btf, &type) == (int32_t)word(m, p + TYPE));
    MUST(name[0] == '\0' || btf_find(btf, name, strlen(name), BTF_MASK(type.kind)) ==
                                find(all, name, type.kind));
}

/* Members of the structs, by the names of all of them and by some that are not there. */
static void check_members(struct btf *btf, const struct model *all, uint64_t random)
{
    const struct model *m = all;

    for (int i = 0; i < CHECKED && all->count > 0; i++) {
        uint32_t id = 1 + (uint32_t)(fuzz_random(&random) % (end_id(all) - 1));
        uint32_t at = (uint32_t)(fuzz_random(&random) % end_string(all));

        m = all;
        type_at(&m, id);
        check_member(btf, all, id, text(all, at));
    }
}

/* Types whose names begin as one of the strings does. */
static void check_like(const struct btf *btf, const struct model *all, uint64_t random)
{
    const char *prefix = text(all, (uint32_t)(random % end_string(all)));
    size_t size = (strlen(prefix) + 1) / 2;
    uint32_t id = 0;

    for (uint32_t next = 1; next < end_id(all); next++) {
        const struct model *m = all;
        const unsigned char *p = type_at(&m, next);
        const char *name = text(m, word(m, p));

        if (name[0] && strncmp(name, prefix, size) == 0) {
            id = btf_next_like(btf, id, prefix, size, UINT32_MAX);
            MUST(id == next);
        }
    }
    MUST(btf_next_like(btf, id, prefix, size, UINT32_MAX) == 0);
}

static void check_bits(uint64_t random)
{
    unsigned char bytes[16];
    unsigned offset = fuzz_random(&random) % 8, bits = 1 + fuzz_random(&random) % 64;
    unsigned __int128 little = 0, big = 0;
    uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)fuzz_random(&random);
        little |= (unsigned __int128)bytes[i] << 8 * i;
        big = big << 8 | bytes[i];
    }
    MUST(btf_bits(bytes, offset, bits, false) == ((uint64_t)(little >> offset) & mask));
    MUST(btf_bits(bytes, offset, bits, true) ==
         ((uint64_t)(big >> (128 - offset - bits)) & mask));
}

/* -----------------------------------------------------------------------------------------
 */

/* Reads one with both readers. True if they accept it. */
static bool read_both(unsigned which, const unsigned char *bytes, size_t size,
                      const struct btf *base, const struct model *base_model)
{
    struct qvm_error *err = fuzz_error();
    bool expected = parse(&models[which], bytes, size, base_model);

    if (btf_init(&read_btf[which], bytes, size, base, "the kernel", err) != 0) {
        fuzz_failed(err, "the kernel");
        MUST(!expected && err->code != QVM_NO_MEMORY);
        return false;
    }
    MUST(expected && read_btf[which].end_id == end_id(&models[which]));
    MUST(btf_total_size(bytes) <= size);
    return true;
}

static void use(unsigned which, uint64_t random)
{
    struct btf *btf = &read_btf[which];
    const struct model *m = &models[which];

    for (uint32_t id = 1; id < end_id(m); id++)
        check_type(btf, m, id);
    check_members(btf, m, random);
    check_like(btf, m, random);
    MUST(btf_find(btf, "no such name", 12, UINT32_MAX) == find(m, "no such name", 99));
    MUST(btf_type(btf, 0).kind == BTF_VOID);
}

static void use_failing(const unsigned char *bytes, size_t size, uint64_t seed,
                        bool accepted)
{
    struct qvm_error *err = fuzz_error();
    struct btf btf;

    fuzz_faults(seed);
    if (btf_init(&btf, bytes, size, NULL, "the kernel", err) == 0) {
        MUST(accepted);
        btf_free(&btf);
    } else
        MUST(!accepted || err->code == QVM_NO_MEMORY);
    fuzz_faults_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t first = (size_t)fuzz_take(&input, 2);
    uint64_t seed = fuzz_hash(data, size);
    bool accepted;

    if (size < 2 || size > BTF_SIZE_MAX)
        return 0;
    first = first < input.left ? first : input.left;
    fuzz_limits_begin();
    check_bits(seed);
    accepted = read_both(0, input.at, first, NULL, NULL);
    if (accepted) {
        use(0, seed);
        if (read_both(1, input.at + first, input.left - first, &read_btf[0], &models[0])) {
            use(1, seed);
            btf_free(&read_btf[1]);
        }
        btf_free(&read_btf[0]);
    }
    use_failing(input.at, first, fuzz_random(&seed), accepted);
    return 0;
}

static void put(uint8_t *to, uint64_t value, unsigned bytes, bool big)
{
    for (unsigned i = 0; i < bytes; i++)
        to[big ? bytes - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

/* A header that fits what follows it, or almost: types, then strings. */
static void fit(uint8_t *p, size_t size, uint64_t *random)
{
    bool big = p[0] == 0xeb;
    uint64_t left = size - HEADER, types = number(p + 12, 4, big);

    if (types >= left)
        types = left - left / 4;
    put(p, 0xeb9f, 2, big);
    put(p + 2, 1, 1, big);
    put(p + 4, HEADER, 4, big);
    put(p + 8, 0, 4, big);
    put(p + 12, types, 4, big);
    put(p + 16, types, 4, big);
    put(p + 20, left - types, 4, big);
    if (left > types && fuzz_random(random) % 8 > 0) {
        p[HEADER + types] = 0;
        p[size - 1] = 0;
    }
}

/* Puts a small number, as ids and offsets are, or a kind into a word of the types. */
static void change_word(uint8_t *p, size_t size, uint64_t *random)
{
    static const unsigned char kinds[] = {1, 2, 3, 4, 5, 6, 8, 10, 13, 14, 15, 18, 19};
    uint64_t types = number(p + 12, 4, p[0] == 0xeb), at;
    uint64_t value = fuzz_random(random) % 40;

    if (types < 4 || types > size - HEADER)
        return;
    if (fuzz_random(random) % 4 == 0)
        value = (uint64_t)kinds[value % sizeof kinds] << 24 | fuzz_random(random) % 4 |
                fuzz_random(random) % 2 << 31;
    at = HEADER + fuzz_random(random) % (types / 4) * 4;
    put(p + at, value, 4, p[0] == 0xeb);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t random = seed;
    size_t first;

    if (fuzz_random(&random) % 2 == 0 || size < 2 + 2 * HEADER)
        size = LLVMFuzzerMutate(data, size, max);
    if (size < 2 + 2 * HEADER)
        return size;
    first = data[0] | (size_t)data[1] << 8;
    if (first < HEADER || first > size - 2)
        first = size - 2;
    for (unsigned i = fuzz_random(&random) % 4; i > 0; i--) {
        bool is_module = size - 2 - first >= HEADER && fuzz_random(&random) % 2;
        uint8_t *p = data + 2 + (is_module ? first : 0);
        size_t bytes = is_module ? size - 2 - first : first;

        change_word(p, bytes, &random);
        if (fuzz_random(&random) % 2)
            fit(p, bytes, &random);
    }
    return size;
}
