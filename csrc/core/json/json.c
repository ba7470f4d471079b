/* A tokenizer without a tree. JSON needs a stack only to know whether the innermost open
 * level is an object or an array, which is one bit per level; everything else is a state
 * that says what the grammar allows next:
 *
 *     VALUE          a value must come: at the start, after ':', after ',' in an array
 *     VALUE_OR_END   after '[': a value or ']'
 *     KEY            after ',' in an object: a member's name
 *     KEY_OR_END     after '{': a name or '}'
 *     COMMA_OR_END   after a value in an array or object: ',' or its closing bracket
 *     DONE           the outermost value is complete: only blanks may follow
 *     FAILED         an error was reported
 *
 * A name and its ':' are one token, and a ',' is part of the token that follows it. Strings
 * are validated here, escapes and UTF-8 included, but not copied: a token points into the
 * text, and json_string() decodes the few strings that have escapes.
 *
 * For [1,{"a":2}] the tokens are:
 *
 *     token    state after it    open levels
 *     [        VALUE_OR_END      array
 *     1        COMMA_OR_END      array
 *     {        KEY_OR_END        array, object
 *     "a":     VALUE             array, object
 *     2        COMMA_OR_END      array, object
 *     }        COMMA_OR_END      array
 *     ]        DONE              none
 *
 * Reading takes time linear in the text, whatever the text is. */
#include "json/json.h"

#include "util/text.h"
#include "json/json_number.h"

#include <string.h>

enum { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COMMA_OR_END, DONE, FAILED };

void json_init(struct json_reader *r, const char *text, size_t size)
{
    memset(r, 0, sizeof *r);
    r->text = text;
    r->size = size;
    r->expect = VALUE;
}

void json_place_init(struct json_place *place)
{
    *place = (struct json_place){.line = 1, .column = 1};
}

/* Lines and columns are only needed for messages, so they are counted on demand, from the
 * place before. A column is a character: bytes 10xxxxxx continue one in UTF-8. */
void json_place_advance(const struct json_reader *r, struct json_place *place,
                        size_t offset)
{
    for (; place->offset < offset && place->offset < r->size; place->offset++) {
        char c = r->text[place->offset];

        if (c == '\n') {
            place->line++;
            place->column = 1;
        } else if (((unsigned char)c & 0xc0) != 0x80) { /* not within a character */
            place->column++;
        }
    }
}

/* Ends the reading with an error at an offset. */
static enum json_type fail(struct json_reader *r, struct json_token *token, size_t at,
                           const char *error)
{
    r->expect = FAILED;
    r->error = error;
    r->at = at;
    return token->type = JSON_ERROR;
}

static void skip_blanks(struct json_reader *r)
{
    for (; r->at < r->size; r->at++) {
        char c = r->text[r->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return;
    }
}

/* Only asked while a level is open, so depth - 1 does not wrap. */
static bool inside_object(const struct json_reader *r)
{
    unsigned level = r->depth - 1;

    return r->in_object[level / 8] >> level % 8 & 1;
}

/* A value is complete: what may follow depends on where it is. */
static void end_value(struct json_reader *r)
{
    r->expect = r->depth == 0 ? DONE : COMMA_OR_END;
}

/* An array or object begins: records which of the two it is. The bit must be cleared, too:
 * an object may have been there before. */
static enum json_type open_level(struct json_reader *r, struct json_token *token,
                                 bool object)
{
    unsigned level = r->depth;
    unsigned char bit = (unsigned char)(1u << level % 8);

    if (level == JSON_DEPTH_MAX)
        return fail(r, token, token->at, "nested deeper than 512 levels");
    if (object)
        r->in_object[level / 8] |= bit;
    else
        r->in_object[level / 8] &= (unsigned char)~bit;
    r->depth++;
    r->at++;
    r->expect = object ? KEY_OR_END : VALUE_OR_END;
    return token->type = object ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_type close_level(struct json_reader *r, struct json_token *token)
{
    bool object = inside_object(r);

    r->depth--;
    r->at++;
    end_value(r);
    return token->type = object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The code of the four hexadecimal digits of a \u escape; -1 if they are something else. */
static int32_t hex4(const char *text, size_t size)
{
    int32_t code = 0;

    if (size < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

static bool is_high_surrogate(int32_t code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low_surrogate(int32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

/* Length of the escape that begins at text (a backslash): 2, 6, or 12 for a surrogate pair.
 * 0 and *error if it is invalid. A lone surrogate is: no UTF-8 can represent it.
 *
 *     \n          2 bytes
 *     \u20ac      6 bytes: U+20AC
 *     \ud83d\ude00   12 bytes, a pair: 0x10000 + (0x3d << 10) + 0x200 = U+1F600 */
static size_t escape_length(const char *text, size_t size, const char **error)
{
    int32_t code;

    *error = "unknown escape in string";
    if (size < 2 || text[1] == '\0' || !strchr("\"\\/bfnrtu", text[1]))
        return 0;
    if (text[1] != 'u')
        return 2;
    code = hex4(text + 2, size - 2);
    if (code < 0) {
        *error = "\\u is not followed by four hexadecimal digits";
        return 0;
    }
    if (!is_high_surrogate(code) && !is_low_surrogate(code))
        return 6;
    if (is_high_surrogate(code) && size >= 12 && text[6] == '\\' && text[7] == 'u' &&
        is_low_surrogate(hex4(text + 8, size - 8)))
        return 12;
    *error = "lone surrogate in string";
    return 0;
}

/* Scans a string from its opening quote and leaves r->at after the closing one. Each step
 * of the loop takes one character or escape. The token's text is what is between the
 * quotes. Its length is exact even with NULs from \u0000, which appear only when
 * json_string() decodes it. */
static enum json_type scan_string(struct json_reader *r, struct json_token *token,
                                  enum json_type type)
{
    const char *error;
    size_t at = r->at + 1, length;

    token->escaped = false;
    for (; at < r->size && r->text[at] != '"'; at += length) {
        unsigned char c = (unsigned char)r->text[at];
        length = 1;
        if (c < 0x20)
            return fail(r, token, at, "control character in string");
        if (c == '\\') {
            token->escaped = true;
            length = escape_length(r->text + at, r->size - at, &error);
            if (length == 0)
                return fail(r, token, at, error);
        } else if (c >= 0x80) {
            length = utf8_length(r->text + at, r->size - at);
            if (length == 0)
                return fail(r, token, at, "invalid UTF-8 in string");
        }
    }
    if (at >= r->size)
        return fail(r, token, token->at, "string does not end");
    token->text = r->text + token->at + 1;
    token->size = at - token->at - 1;
    r->at = at + 1;
    return token->type = type;
}

/* Decodes the escape at *from, which scan_string() has found valid, and moves past it. No
 * escape is shorter than what it stands for: \uXXXX gives at most 3 bytes, a pair 4. */
static size_t put_escape(const char **from, char *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *text = *from;
    int32_t code;

    if (text[1] != 'u') {
        *from += 2;
        *out = values[strchr(names, text[1]) - names];
        return 1;
    }
    code = hex4(text + 2, 4);
    *from += 6;
    if (is_high_surrogate(code)) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(text + 8, 4) - 0xdc00);
        *from += 6;
    }
    return utf8_put(out, (uint32_t)code);
}

/* The token is valid, so neither an escape nor a character needs to be checked again. */
size_t json_string(const struct json_token *token, char *out)
{
    const char *from = token->text, *end = token->text + token->size;
    char *to = out;

    while (from < end) {
        if (*from == '\\')
            to += put_escape(&from, to);
        else
            *to++ = *from++;
    }
    return (size_t)(to - out);
}

/* A member's name with the ':' after it. */
static enum json_type scan_key(struct json_reader *r, struct json_token *token)
{
    if (r->text[r->at] != '"')
        return fail(r, token, r->at, "a member's name in quotes is expected");
    if (scan_string(r, token, JSON_KEY) == JSON_ERROR)
        return JSON_ERROR;
    skip_blanks(r);
    if (r->at == r->size || r->text[r->at] != ':')
        return fail(r, token, r->at, "':' is expected after a member's name");
    r->at++;
    r->expect = VALUE;
    return JSON_KEY;
}

static enum json_type scan_word(struct json_reader *r, struct json_token *token)
{
    static const struct {
        const char *word;
        size_t length;
        enum json_type type;
    } words[] = {
        {"null", 4, JSON_NULL},
        {"true", 4, JSON_TRUE},
        {"false", 5, JSON_FALSE},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (r->size - r->at >= words[i].length &&
            memcmp(r->text + r->at, words[i].word, words[i].length) == 0) {
            r->at += words[i].length;
            return token->type = words[i].type;
        }
    }
    return fail(r, token, r->at, "a value is expected");
}

static enum json_type scan_number(struct json_reader *r, struct json_token *token)
{
    const char *error = json_number(r->text, r->size, &r->at, token);

    return error ? fail(r, token, r->at, error) : token->type;
}

static enum json_type scan_scalar(struct json_reader *r, struct json_token *token)
{
    char c = r->text[r->at];
    enum json_type type;

    if (c == '"')
        type = scan_string(r, token, JSON_STRING);
    else if (c == '-' || (c >= '0' && c <= '9'))
        type = scan_number(r, token);
    else
        type = scan_word(r, token);
    if (type != JSON_ERROR)
        end_value(r);
    return type;
}

static enum json_type scan_value(struct json_reader *r, struct json_token *token)
{
    switch (r->text[r->at]) {
    case '{': return open_level(r, token, true);
    case '[': return open_level(r, token, false);
    default: return scan_scalar(r, token);
    }
}

/* Skips the ',' between two values or members. A name or value must follow: the state
 * excludes a closing bracket, so [1,] is an error. */
static bool skip_comma(struct json_reader *r)
{
    if (r->expect != COMMA_OR_END || r->text[r->at] != ',')
        return false;
    r->at++;
    skip_blanks(r);
    r->expect = inside_object(r) ? KEY : VALUE;
    return true;
}

/* Is the next byte the bracket that ends the innermost array or object? After ',' or ':' it
 * is not allowed. */
static bool at_closing_bracket(const struct json_reader *r)
{
    bool may_end =
        r->expect == VALUE_OR_END || r->expect == KEY_OR_END || r->expect == COMMA_OR_END;

    return may_end && r->text[r->at] == (inside_object(r) ? '}' : ']');
}

/* The text ends here, between two tokens. */
static enum json_type end_text(struct json_reader *r, struct json_token *token)
{
    if (r->expect == DONE)
        return token->type = JSON_END;
    return fail(r, token, r->at,
                r->depth == 0 ? "the text is empty" : "the text ends too early");
}

/* One token: blanks, then a closing bracket; or a comma if one is due, blanks, and a name
 * or value. Each call consumes at least one byte or ends, so a text of n bytes has at most
 * n tokens. */
enum json_type json_next(struct json_reader *r, struct json_token *token)
{
    if (r->expect == FAILED)
        return token->type = JSON_ERROR;
    skip_blanks(r);
    token->at = r->at;
    if (r->at == r->size)
        return end_text(r, token);
    if (r->expect == DONE)
        return fail(r, token, r->at, "text follows the end of the document");
    if (at_closing_bracket(r))
        return close_level(r, token);
    if (skip_comma(r)) {
        token->at = r->at;
        if (r->at == r->size)
            return end_text(r, token);
    } else if (r->expect == COMMA_OR_END) {
        return fail(r, token, r->at,
                    inside_object(r) ? "',' or '}' is expected" : "',' or ']' is expected");
    }
    if (r->expect == KEY || r->expect == KEY_OR_END)
        return scan_key(r, token);
    return scan_value(r, token);
}
