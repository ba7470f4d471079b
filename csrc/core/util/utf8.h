/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef QVM_UTF8_H
#define QVM_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence that begins at text, 0 if there is none in `size`
 * bytes. */
size_t utf8_length(const char *text, size_t size);

/* Writes one code point, 1 to 4 bytes; returns how many. */
size_t utf8_put(char *out, uint32_t code);

#endif
