/*
 * Little-endian values, byte by byte.
 */
#ifndef SIM_PUT_H
#define SIM_PUT_H

#include <stdint.h>

/* Each stores a value at `at` and returns the address behind it. */
unsigned char *put_u8(unsigned char *at, unsigned value);
unsigned char *put_u16(unsigned char *at, unsigned value);
unsigned char *put_u32(unsigned char *at, uint32_t value);
unsigned char *put_u64(unsigned char *at, uint64_t value);

#endif
