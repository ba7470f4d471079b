/* Types as scripts use them: one of the BTF, or pointers to it and arrays of it, which the
 * BTF need not have. A reference is a value of a fixed size and owns nothing. */
#ifndef QVM_BTF_REF_H
#define QVM_BTF_REF_H

#include "guest/btf.h"

/* Pointers and arrays around a type of the BTF. */
enum { BTF_DERIVED_MAX = 6 };

struct btf_ref {
    uint32_t id;
    uint8_t depth;                    /* pointers and arrays around it */
    uint8_t pointers;                 /* bit i: length[i] is none, this is a pointer */
    uint32_t length[BTF_DERIVED_MAX]; /* of arrays; the outermost comes last */
};

/* What a type is, without typedefs, modifiers and tags. */
struct btf_shape {
    enum btf_kind kind; /* VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, ENUM64, FWD, FLOAT,
                         * FUNC_PROTO or DATASEC */
    uint32_t id;        /* of the type in the BTF; 0: a pointer or an array around one */
    bool has_size;
    uint64_t size;   /* bytes, of those that have one */
    uint32_t length; /* of an array */
    bool is_signed, is_bool, is_char;
    struct btf_ref target; /* of a pointer, an array: what it points to, what it is of */
};

void btf_shape(const struct btf *btf, const struct btf_ref *ref, struct btf_shape *shape);

/* What a type leads to in one step: a pointer to its target, an array to its elements, a
 * typedef to what it names, a function to what it returns. False: it is the end. */
bool btf_target(const struct btf *btf, const struct btf_ref *ref, struct btf_ref *target);

/* A pointer to a type, an array of a type. False: nested too deep. */
bool btf_pointer_to(const struct btf_ref *to, struct btf_ref *ref);
bool btf_array_of(const struct btf_ref *of, uint32_t length, struct btf_ref *ref);

bool btf_same_ref(const struct btf_ref *a, const struct btf_ref *b);

/* The `bits` bits, at most 64, that begin `offset` bits into some bytes. Bits count from
 * the least significant one of the first byte on; big_endian: from the most significant. */
uint64_t btf_bits(const unsigned char *bytes, unsigned offset, unsigned bits,
                  bool big_endian);

#endif
