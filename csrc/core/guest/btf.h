/* BTF, the type information that a Linux kernel carries (Documentation/bpf/btf.rst). All of
 * it is checked once, by btf_init: the functions after that cannot fail on what it says.
 * It may come from a guest's memory, so it may say anything. */
#ifndef QVM_BTF_H
#define QVM_BTF_H

#include "util/bytes.h"
#include "util/error.h"
#include "util/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of BTF. A distribution's kernel has 4 to 6 MiB. With its index, this much takes
 * some 50 MiB. */
#define BTF_SIZE_MAX LIMIT(24u << 20, 1u << 16)

/* Bytes of one name. The kernel's own have less than 512 (KSYM_NAME_LEN). */
enum { BTF_NAME_MAX = 4096 };

/* References that lead from one type to the next (pointer, array, typedef, const, ...): a
 * longer chain, or a loop, is malformed. */
enum { BTF_CHAIN_MAX = 64 };

enum { BTF_HEADER_SIZE = 24 };

enum btf_kind {
    BTF_VOID, /* id 0 */
    BTF_INT,
    BTF_PTR,
    BTF_ARRAY,
    BTF_STRUCT,
    BTF_UNION,
    BTF_ENUM,
    BTF_FWD,
    BTF_TYPEDEF,
    BTF_VOLATILE,
    BTF_CONST,
    BTF_RESTRICT,
    BTF_FUNC,
    BTF_FUNC_PROTO,
    BTF_VAR,
    BTF_DATASEC,
    BTF_FLOAT,
    BTF_DECL_TAG,
    BTF_TYPE_TAG,
    BTF_ENUM64,
    BTF_KINDS
};

#define BTF_MASK(kind) (1u << (kind))

/* A member that was found by name: see btf_find_member. */
struct btf_found {
    uint32_t type;
    uint32_t bits;       /* of a bitfield; 0: it is none */
    uint64_t bit_offset; /* from the start of the structure */
};

enum { BTF_CACHE = 256 };

struct btf_cached {
    uint32_t id;   /* of the structure; 0: free */
    uint32_t name; /* offset of the member's name */
    struct btf_found found;
};

struct btf {
    const struct btf *base; /* what a module's types continue; NULL */
    bool big_endian;
    unsigned pointer_size; /* bytes: BTF does not say; 8 until the caller changes it */
    const unsigned char *types;
    uint32_t types_size;
    const char *strings;
    uint32_t strings_size;
    uint32_t first_id,
        first_string;            /* where this continues the base: ids, string offsets */
    uint32_t end_id, end_string; /* one past the last */
    uint32_t *offsets;           /* of each type in `types`, by id - first_id */
    uint32_t *buckets, *chain;   /* ids by hash of the name; 0 ends a chain */
    uint32_t bucket_count;       /* a power of two */
    uint32_t steps;              /* of long searches for members, see btf_find_member */
    struct btf_cached cache[BTF_CACHE];
};

/* One type, as it is in the BTF. */
struct btf_type {
    enum btf_kind kind;
    uint32_t id;
    const char *name; /* empty: none */
    uint32_t count;   /* members, enumerators, parameters, variables */
    bool flag;        /* kind_flag */
    uint32_t size;    /* bytes; or the id of the type that it refers to */
    const unsigned char *extra;
};

struct btf_member {
    const char *name; /* empty: anonymous */
    uint32_t name_at; /* its offset */
    uint32_t type;
    uint32_t bit_offset, bits; /* bits: of a bitfield; 0: it is none */
};

/* The bytes that the BTF with this header has; 0: it is no header of BTF. */
uint64_t btf_total_size(const unsigned char header[BTF_HEADER_SIZE]);

/* Checks and indexes BTF. The bytes, and the base, stay the caller's and must stay where
 * they are. `subject` names them in messages. Codes malformed, unsupported (a newer
 * version, an unknown kind of type), too_large. 0, or -1 and nothing to free. */
int btf_init(struct btf *btf, const unsigned char *bytes, size_t size,
             const struct btf *base, const char *subject, struct qvm_error *err);
void btf_free(struct btf *btf);

/* Fills the empty buckets. For btf_init, once all types are checked. */
void btf_index_names(struct btf *btf);

/* A word of it, and a string by its offset, which is below btf->end_string. With the order
 * known to the compiler, the first is one load. */
static inline uint32_t btf_word(const struct btf *btf, const unsigned char *p)
{
    return btf->big_endian ? bytes_u32(p, true) : bytes_u32(p, false);
}

const char *btf_string(const struct btf *btf, uint32_t offset);

/* The type with an id, which is below btf->end_id. */
struct btf_type btf_type(const struct btf *btf, uint32_t id);

/* The id of the type of a name; kinds: which may be meant, as BTF_MASK. 0: none. */
uint32_t btf_find(const struct btf *btf, const char *name, size_t size, unsigned kinds);

/* The id after `id` of a type whose name begins with a prefix; kinds: as in btf_find. From
 * 0 on, each call gives the next one; 0: no more. */
uint32_t btf_next_like(const struct btf *btf, uint32_t id, const char *prefix, size_t size,
                       unsigned kinds);

/* A member of a structure or union, an enumerator, a parameter: index < type->count. The
 * type of the last parameter is 0 if there may be more. */
struct btf_member btf_member(const struct btf *btf, const struct btf_type *type,
                             uint32_t index);
const char *btf_enumerator(const struct btf *btf, const struct btf_type *type,
                           uint32_t index, uint64_t *value);
const char *btf_parameter(const struct btf *btf, const struct btf_type *type,
                          uint32_t index, uint32_t *id);

/* A variable of a DATASEC: its id, and where it is from the start of the section. */
uint32_t btf_section_variable(const struct btf *btf, const struct btf_type *type,
                              uint32_t index, uint32_t *offset);

/* What an array is of, and how many. */
uint32_t btf_array(const struct btf *btf, const struct btf_type *type, uint32_t *length);

/* Of an integer: its encoding (BTF_INT_*), and, where it is part of its bytes, which bits.
 */
enum { BTF_INT_SIGNED = 1, BTF_INT_CHAR = 2, BTF_INT_BOOL = 4 };
uint32_t btf_int(const struct btf *btf, const struct btf_type *type, uint32_t *offset,
                 uint32_t *bits);

/* Of a DECL_TAG: the member that it describes; -1: the whole type. */
int32_t btf_tagged(const struct btf *btf, const struct btf_type *type);

/* The member of a name in a structure or union, also within anonymous ones. False: none, or
 * it is after more members than such a search looks at. */
bool btf_find_member(struct btf *btf, uint32_t id, const char *name, size_t size,
                     struct btf_found *found);

/* True for kinds that refer to one type by `size`. */
bool btf_refers(enum btf_kind kind);

#endif
