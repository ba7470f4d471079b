#include "dump/put.h"

unsigned char *put_u8(unsigned char *at, unsigned value)
{
    *at = (unsigned char)(value & 0xff);
    return at + 1;
}

unsigned char *put_u16(unsigned char *at, unsigned value)
{
    return put_u8(put_u8(at, value), value >> 8);
}

unsigned char *put_u32(unsigned char *at, uint32_t value)
{
    return put_u16(put_u16(at, value & 0xffff), value >> 16);
}

unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    return put_u32(put_u32(at, (uint32_t)(value & 0xffffffff)), (uint32_t)(value >> 32));
}
