/* Text: UTF-8, and escaping of text that comes from outside. Escaped text cannot drive a
 * terminal, deceive its reader or break the format that carries it.
 *
 * UTF-8 is as RFC 3629 defines it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
#ifndef QVM_TEXT_H
#define QVM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at the start of `size` bytes of text; 0 if there is
 * none. */
size_t utf8_length(const char *text, size_t size);

/* Writes one code point, up to U+10FFFF, as 1 to 4 bytes; returns how many. */
size_t utf8_put(char *out, uint32_t code);

enum escape_form {
    ESCAPE_SHOWN, /* for people: each byte of an unsafe character as \xNN */
    ESCAPE_JSON   /* inside a JSON string: \uNNNN, so that the decoded text is the same;
                   * a byte that is not UTF-8 becomes U+FFFD */
};

#define ESCAPE_SIZE 16 /* bytes that one character can take: \xNN four times */

/* Takes the first character of `size` (at least 1) bytes and writes it as it is or escaped.
 * Returns the number of bytes written; *used is the number of bytes taken. */
size_t escape_next(const char *text, size_t size, enum escape_form form,
                   char out[ESCAPE_SIZE], size_t *used);

#endif
