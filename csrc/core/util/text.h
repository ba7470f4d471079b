/* Text: UTF-8, and escaping of text from outside on its way out of the program, so that
 * nothing in it drives a terminal, deceives a reader or breaks the format that carries it.
 *
 * UTF-8 is as RFC 3629 defines it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
#ifndef QVM_TEXT_H
#define QVM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence that begins at text, 0 if there is none in `size`
 * bytes. */
size_t utf8_length(const char *text, size_t size);

/* Writes one code point, 1 to 4 bytes; returns how many. */
size_t utf8_put(char *out, uint32_t code);

enum escape_form {
    ESCAPE_SHOWN, /* for people: each byte of what is escaped as \xNN */
    ESCAPE_JSON   /* inside a JSON string: \uNNNN, so that the decoded text is the same;
                   * a byte that is no UTF-8 becomes U+FFFD */
};

#define ESCAPE_SIZE 16

/* Takes the first character of `size` bytes, 1 at least, and writes it as it is or escaped.
 * Returns the bytes written, and the bytes taken in *used. */
size_t escape_next(const char *text, size_t size, enum escape_form form,
                   char out[ESCAPE_SIZE], size_t *used);

#endif
