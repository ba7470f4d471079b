/* Numbers of a JSON text: integers exact to 64 bits, the rest as doubles. */
#ifndef QVM_JSON_NUMBER_H
#define QVM_JSON_NUMBER_H

#include "json/json.h"

/* What is wrong where there is no memory for a number of many digits: this very text. */
extern const char json_no_memory[];

/* Scans the number at text[*at], moves *at behind it and fills the token. Returns NULL, or
 * what is wrong with *at on the offending byte. */
const char *json_number(const char *text, size_t size, size_t *at,
                        struct json_token *token);

#endif
