/*
 * A growing text buffer.
 *
 * Start with an all-zero struct. Running out of memory sets `failed` and makes every later
 * call do nothing, so that a composer checks once, at its end.
 */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* `length` bytes and a NUL; NULL while nothing was added */
    size_t length;
    size_t capacity;
    bool failed;
};

/* Makes room for `extra` bytes and a NUL after the present ones; false: out of memory. */
bool text_reserve(struct text *text, size_t extra);

void text_bytes(struct text *text, const void *bytes, size_t count);
void text_string(struct text *text, const char *string);

/* Adds a string, every control character in it replaced by '?'. */
void text_clean(struct text *text, const char *string);

void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Releases the buffer; the struct is all zero afterwards. */
void text_free(struct text *text);

#endif
