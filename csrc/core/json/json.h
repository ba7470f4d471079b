/* A strict RFC 8259 reader that produces one token after another. It builds no tree,
 * allocates nothing (but for numbers of more than a hundred characters, briefly) and does
 * not recurse. The text must outlive the reader and the tokens.
 *
 *     struct json_reader reader;
 *     struct json_token token;
 *     json_init(&reader, text, size);
 *     while (json_next(&reader, &token) > JSON_END)
 *         ...
 *
 * Members of an object are reported in the order of the text, duplicates included: RFC 8259
 * leaves their meaning to the application. */
#ifndef QVM_JSON_H
#define QVM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512 /* arrays and objects open at one time; a multiple of 8 */

enum json_type {
    JSON_ERROR = -1, /* reader->error says what is wrong, reader->at where */
    JSON_END = 0,    /* the document is complete and nothing follows it */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER, /* token.integer: 64 bits, exact */
    JSON_FLOAT,   /* token.number, token.inexact */
    JSON_STRING, /* token.text, token.size: what is between the quotes; see json_string() */
    JSON_KEY,    /* like JSON_STRING; the member's value is the next token */
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_OBJECT,
    JSON_OBJECT_END
};

struct json_token {
    enum json_type type;
    size_t at;        /* offset of the token's first byte */
    const char *text; /* of a string, key or number: its bytes in the document */
    size_t size;
    bool escaped;    /* a string or key: the text has escapes, so it is not the value */
    bool inexact;    /* a float: an integer beyond 64 bits, or too large for a double */
    int64_t integer; /* 2^63 .. 2^64-1 as the same bit pattern */
    double number;
};

struct json_reader {
    const char *text;
    size_t size;
    size_t at; /* offset of the next byte; after an error, of the offending one */
    const char *error;
    unsigned depth;                              /* arrays and objects that are open */
    int expect;                                  /* the grammar's state, see json.c */
    unsigned char in_object[JSON_DEPTH_MAX / 8]; /* one bit per level: object or array */
};

void json_init(struct json_reader *reader, const char *text, size_t size);

/* Reads the next token; returns token->type. After JSON_ERROR or JSON_END, every further
 * call returns the same. */
enum json_type json_next(struct json_reader *reader, struct json_token *token);

/* Writes the value of a string or key to `out`, which has room for token->size bytes, and
 * returns the value's length, which is never greater. */
size_t json_string(const struct json_token *token, char *out);

/* A position in the text, for messages. It only moves forward, so all positions of a
 * document together cost one pass over the text. */
struct json_place {
    size_t offset;       /* bytes, from 0 */
    size_t line, column; /* from 1; columns count characters */
};

void json_place_init(struct json_place *place);
void json_place_advance(const struct json_reader *reader, struct json_place *place,
                        size_t offset);

#endif
