/* Decodes unsigned integers from bytes at any alignment, in the byte order of a file. */
#ifndef QVM_BYTES_H
#define QVM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The integer in `size` bytes, 1 to 8. */
static inline uint64_t bytes_get(const unsigned char *p, unsigned size, bool big_endian)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | p[big_endian ? i : size - 1 - i];
    return value;
}

static inline uint16_t bytes_u16(const unsigned char *p, bool big_endian)
{
    return (uint16_t)bytes_get(p, 2, big_endian);
}

/* The bytes as a sum of shifts, which compilers turn into one load; a loop they do not. */
static inline uint32_t bytes_u32(const unsigned char *p, bool big_endian)
{
    if (big_endian)
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline uint64_t bytes_u64(const unsigned char *p, bool big_endian)
{
    uint64_t first = bytes_u32(p, big_endian), second = bytes_u32(p + 4, big_endian);

    return big_endian ? first << 32 | second : second << 32 | first;
}

/* True if all n bytes are zero: the first one is, and each equals the one after it, which
 * memcmp compares many at a time. */
static inline bool bytes_are_zero(const unsigned char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static inline uint64_t smaller_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
