/* A strict RFC 8259 reader. It gives one token after another and knows nothing of what is
 * built from them; it allocates nothing and does not recurse. The text must outlive it.
 *
 *     struct json_reader reader;
 *     struct json_token token;
 *     json_init(&reader, text, size);
 *     while (json_next(&reader, &token) > JSON_END)
 *         ...
 */
#ifndef QVM_JSON_H
#define QVM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512 /* arrays and objects open at one time */

enum json_type {
    JSON_ERROR = -1, /* reader->error says what, reader->at says where */
    JSON_END = 0,    /* the document is complete, nothing follows it */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER, /* token.integer: 64 bits, exact */
    JSON_FLOAT,   /* token.number; token.inexact: an integer beyond 64 bits, or infinite */
    JSON_STRING,  /* token.text, token.size: what stands between the quotes, see json_string
                   */
    JSON_KEY,     /* as JSON_STRING; the member's value is the next token */
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_OBJECT,
    JSON_OBJECT_END
};

struct json_token {
    enum json_type type;
    size_t at;        /* offset of the token's first byte */
    const char *text; /* the token's bytes */
    size_t size;
    bool escaped; /* a string: it has escapes, so text is not its value */
    bool inexact;
    int64_t integer; /* 2^63 .. 2^64-1 as the same bit pattern */
    double number;
};

struct json_reader {
    const char *text;
    size_t size;
    size_t at; /* next byte; after an error: the offending one */
    const char *error;
    unsigned depth;
    int expect;
    unsigned char in_object[JSON_DEPTH_MAX / 8]; /* a bit for each open level */
};

void json_init(struct json_reader *reader, const char *text, size_t size);

/* The next token's type, also in token->type. After JSON_ERROR and JSON_END: the same
 * again. */
enum json_type json_next(struct json_reader *reader, struct json_token *token);

/* Writes the value of a string token that has escapes to `out`, which has room for
 * token->size bytes; returns the value's length, which is never more. */
size_t json_string(const struct json_token *token, char *out);

/* A place in the text. Start with json_place_init and move forward only. */
struct json_place {
    size_t offset, line, column; /* line and column (in characters) from 1 */
};

void json_place_init(struct json_place *place);
void json_place_advance(const struct json_reader *reader, struct json_place *place,
                        size_t offset);

#endif
