/* Foreign text on its way out of the program: nothing in it may drive a terminal, deceive a
 * reader, or break the format that carries it. */
#ifndef QVM_ESCAPE_H
#define QVM_ESCAPE_H

#include <stddef.h>

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
