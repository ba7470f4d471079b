/* Numbers of a JSON text: integers exact to 64 bits, everything else as a double. */
#ifndef QVM_JSON_NUMBER_H
#define QVM_JSON_NUMBER_H

#include "json/json.h"

/* The error of a number whose conversion ran out of memory: this very pointer, which tells
 * it from an error of the text. */
extern const char json_no_memory[];

/* Scans the number at text[*at], moves *at past it and fills the token. Returns NULL, or
 * what is wrong, and *at is the offset of the offending byte. */
const char *json_number(const char *text, size_t size, size_t *at,
                        struct json_token *token);

#endif
