/*
 * A growing text buffer.
 *
 * It starts all zero. If memory runs out, `failed` is set and every later call does
 * nothing, so that the user checks once, at the end.
 */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* `length` bytes and a NUL; NULL before anything is added */
    size_t length;
    size_t capacity;
    bool failed;
};

/* Makes room for `extra` more bytes and a NUL. False: out of memory. */
bool text_reserve(struct text *text, size_t extra);

void text_bytes(struct text *text, const void *bytes, size_t count);
void text_string(struct text *text, const char *string);

/* Adds a string, with every control character replaced by '?'. */
void text_clean(struct text *text, const char *string);

void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Releases the buffer; the struct is all zero afterwards. */
void text_free(struct text *text);

#endif
