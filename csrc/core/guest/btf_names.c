/* Types by name: a hash table of ids, whose chains are linked by id; and, for completion, a
 * pass over all types for the beginning of a name. */
#include "guest/btf.h"

#include <string.h>

/* Bytes of a name that are hashed. Any number of types may have the same long name; few
 * names of a kernel differ only after that. */
enum { HASHED = 64 };

/* FNV-1a of the first bytes of a name: up to `size`, and to a NUL. */
static uint32_t hash_of(const char *name, size_t size)
{
    uint32_t hash = 2166136261u;

    if (size > HASHED)
        size = HASHED;
    for (size_t i = 0; i < size && name[i] != '\0'; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash ^ hash >> 15;
}

/* From the last to the first, so that the first one of a name comes first. */
void btf_index_names(struct btf *btf)
{
    for (uint32_t id = btf->end_id; id-- > btf->first_id;) {
        struct btf_type type = btf_type(btf, id);
        uint32_t *bucket;

        if (type.name[0] == '\0')
            continue;
        bucket = &btf->buckets[hash_of(type.name, HASHED) & (btf->bucket_count - 1)];
        btf->chain[id - btf->first_id] = *bucket;
        *bucket = id;
    }
}

uint32_t btf_find(const struct btf *btf, const char *name, size_t size, unsigned kinds)
{
    uint32_t hash = hash_of(name, size);

    if (size == 0 || memchr(name, '\0', size))
        return 0;
    for (; btf; btf = btf->base)
        for (uint32_t id = btf->buckets[hash & (btf->bucket_count - 1)]; id != 0;
             id = btf->chain[id - btf->first_id]) {
            struct btf_type type = btf_type(btf, id);

            if (kinds & BTF_MASK(type.kind) && strncmp(type.name, name, size) == 0 &&
                type.name[size] == '\0')
                return id;
        }
    return 0;
}

uint32_t btf_next_like(const struct btf *btf, uint32_t id, const char *prefix, size_t size,
                       unsigned kinds)
{
    while (++id < btf->end_id) {
        struct btf_type type = btf_type(btf, id);

        if (kinds & BTF_MASK(type.kind) && type.name[0] != '\0' &&
            strncmp(type.name, prefix, size) == 0)
            return id;
    }
    return 0;
}
