/* JSON: an independent parser, written from the grammar of RFC 8259, must accept the
 * same documents; and a document written from its tokens must parse the same. */
#include "json/json.h"

#include "fuzz.h"
#include "util/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIZE_MAX_HERE = 1 << 16 };

/* The grammar, with a function for each rule: it returns the end of what it accepts,
 * or NULL. */
struct text {
    const char *end;
    int depth;
};

static const char *value(struct text *text, const char *at);

static const char *blanks(const struct text *text, const char *at)
{
    while (at < text->end && memchr(" \t\r\n", *at, 4))
        at++;
    return at;
}

static const char *digits(const struct text *text, const char *at)
{
    const char *begin = at;

    while (at && at < text->end && *at >= '0' && *at <= '9')
        at++;
    return at == begin ? NULL : at;
}

static const char *word(const struct text *text, const char *at, const char *what)
{
    size_t n = strlen(what);

    return at && (size_t)(text->end - at) >= n && memcmp(at, what, n) == 0 ? at + n : NULL;
}

static const char *number(const struct text *text, const char *at)
{
    if (at < text->end && *at == '-')
        at++;
    at = at < text->end && *at == '0' ? at + 1 : digits(text, at);
    if (at && at < text->end && *at == '.')
        at = digits(text, at + 1);
    if (at && at < text->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < text->end && (*at == '+' || *at == '-'))
            at++;
        at = digits(text, at);
    }
    return at;
}

static const char *four(const struct text *text, const char *at, unsigned *code)
{
    char hex[5] = {0};

    if (text->end - at < 4)
        return NULL;
    memcpy(hex, at, 4);
    return strspn(hex, "0123456789abcdefABCDEF") == 4 && sscanf(hex, "%x", code) == 1
               ? at + 4
               : NULL;
}

/* A surrogate is half a character: RFC 8259 permits lone ones, this parser does not. */
static const char *escape(const struct text *text, const char *at)
{
    unsigned code, low;

    if (at == text->end)
        return NULL;
    if (*at != 'u')
        return memchr("\"\\/bfnrt", *at, 8) ? at + 1 : NULL;
    at = four(text, at + 1, &code);
    if (!at || code < 0xd800 || code > 0xdfff)
        return at;
    at = code > 0xdbff ? NULL : word(text, at, "\\u");
    at = at ? four(text, at, &low) : NULL;
    return at && low >= 0xdc00 && low <= 0xdfff ? at : NULL;
}

/* Checks code points, whereas the library uses the table of well-formed bytes. */
static const char *character(const struct text *text, const char *at)
{
    unsigned char lead = (unsigned char)*at++;
    unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t code = more ? lead & (0x3fu >> more) : lead;

    if (lead < 0x20 || (lead >= 0x80 && lead < 0xc0) || lead > 0xf7)
        return NULL;
    for (unsigned i = 0; i < more; i++, at++) {
        if (at == text->end || ((unsigned char)*at & 0xc0) != 0x80)
            return NULL;
        code = code << 6 | ((unsigned char)*at & 0x3f);
    }
    return code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)
               ? NULL
               : at;
}

static const char *string(const struct text *text, const char *at)
{
    at = word(text, at, "\"");
    while (at && at < text->end && *at != '"')
        at = *at == '\\' ? escape(text, at + 1) : character(text, at);
    return at ? word(text, at, "\"") : NULL;
}

static const char *item(struct text *text, const char *at, bool object)
{
    if (object) {
        at = string(text, at);
        at = at ? word(text, blanks(text, at), ":") : NULL;
    }
    at = at ? value(text, blanks(text, at)) : NULL;
    return at ? blanks(text, at) : NULL;
}

static const char *list(struct text *text, const char *at, bool object)
{
    const char *close = object ? "}" : "]", *end;

    if (++text->depth > JSON_DEPTH_MAX)
        return NULL;
    at = blanks(text, at + 1);
    end = word(text, at, close);
    while (!end && at) {
        at = item(text, at, object);
        end = at ? word(text, at, close) : NULL;
        if (at && !end) {
            at = word(text, at, ",");
            at = at ? blanks(text, at) : NULL;
        }
    }
    text->depth--;
    return end;
}

static const char *value(struct text *text, const char *at)
{
    const char *found = NULL;

    if (at == text->end)
        return NULL;
    if (*at == '{' || *at == '[')
        return list(text, at, *at == '{');
    if (*at == '"')
        return string(text, at);
    if (*at == '-' || (*at >= '0' && *at <= '9'))
        return number(text, at);
    for (int i = 0; i < 3 && !found; i++)
        found = word(text, at, (const char *[]){"null", "true", "false"}[i]);
    return found;
}

static bool is_document(const char *bytes, size_t size)
{
    struct text text = {.end = bytes + size};
    const char *at = value(&text, blanks(&text, bytes));

    return at && blanks(&text, at) == text.end;
}

/* Writes the tokens as text. */
static char written[16 * SIZE_MAX_HERE];
static size_t length;

static void put(const char *text, size_t n)
{
    MUST(n <= sizeof written - length);
    memcpy(written + length, text, n);
    length += n;
}

static char decoded[SIZE_MAX_HERE];

static size_t decode(const struct json_token *token, char *out)
{
    size_t n = token->size;

    if (token->escaped) {
        n = json_string(token, out);
        MUST(n < token->size);
    } else
        memcpy(out, token->text, n);
    for (size_t at = 0, step; at < n; at += step)
        MUST((step = utf8_length(out + at, n - at)) > 0);
    return n;
}

static void put_string(const struct json_token *token)
{
    size_t n = decode(token, decoded);
    char code[8];

    put("\"", 1);
    for (size_t i = 0; i < n; i++) {
        bool plain = (unsigned char)decoded[i] >= 0x20 && !memchr("\"\\", decoded[i], 2);

        snprintf(code, sizeof code, "\\u%04x", (unsigned char)decoded[i]);
        put(plain ? &decoded[i] : code, plain ? 1 : 6);
    }
    put("\"", 1);
}

static void put_number(const struct json_token *token)
{
    char text[64];

    if (token->type == JSON_INTEGER)
        snprintf(text, sizeof text, "%lld", (long long)token->integer);
    else if (isinf(token->number))
        snprintf(text, sizeof text, "%s1e999", token->number < 0 ? "-" : "");
    else
        snprintf(text, sizeof text, "%.17e", token->number);
    MUST(token->type == JSON_INTEGER || !isnan(token->number));
    put(text, strlen(text));
}

static void put_token(const struct json_token *token, enum json_type before)
{
    static const char *const words[] = {
        [JSON_NULL] = "null",   [JSON_FALSE] = "false", [JSON_TRUE] = "true",
        [JSON_ARRAY] = "[",     [JSON_ARRAY_END] = "]", [JSON_OBJECT] = "{",
        [JSON_OBJECT_END] = "}"};
    bool closes = token->type == JSON_ARRAY_END || token->type == JSON_OBJECT_END;
    bool first = before == JSON_ARRAY || before == JSON_OBJECT || before == JSON_KEY;

    if (before != JSON_END && !first && !closes)
        put(",", 1);
    if (token->type == JSON_STRING || token->type == JSON_KEY)
        put_string(token);
    else if (token->type == JSON_INTEGER || token->type == JSON_FLOAT)
        put_number(token);
    else
        put(words[token->type], strlen(words[token->type]));
    if (token->type == JSON_KEY)
        put(":", 1);
}

static void check_equal(const struct json_token *a, const struct json_token *b)
{
    static char one[SIZE_MAX_HERE], two[16 * SIZE_MAX_HERE];

    MUST(a->type == b->type);
    if (a->type == JSON_INTEGER)
        MUST(a->integer == b->integer);
    if (a->type == JSON_FLOAT)
        MUST(a->number == b->number && signbit(a->number) == signbit(b->number));
    if (a->type == JSON_STRING || a->type == JSON_KEY) {
        size_t n = decode(a, one);

        MUST(n == decode(b, two) && memcmp(one, two, n) == 0);
    }
}

static void check_same(const char *text, size_t size)
{
    struct json_reader a, b;
    struct json_token one, two;

    json_init(&a, text, size);
    json_init(&b, written, length);
    while (json_next(&a, &one) > JSON_END) {
        json_next(&b, &two);
        check_equal(&one, &two);
    }
    MUST(json_next(&b, &two) == JSON_END);
}

static void check_place(const struct json_reader *reader)
{
    struct json_place place;

    MUST(reader->at <= reader->size);
    json_place_init(&place);
    json_place_advance(reader, &place, reader->at);
    MUST(place.offset == reader->at && place.line >= 1 && place.column >= 1);
    MUST(place.line + place.column <= reader->at + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct json_reader reader;
    struct json_token token;
    enum json_type before = JSON_END;
    bool failed;

    if (size > SIZE_MAX_HERE)
        return 0;
    length = 0;
    json_init(&reader, text, size);
    while (json_next(&reader, &token) > JSON_END) {
        put_token(&token, before);
        before = token.type;
    }
    failed = token.type == JSON_ERROR;
    MUST(json_next(&reader, &token) == (failed ? JSON_ERROR : JSON_END));
    MUST(failed == !is_document(text, size));
    MUST(failed == (reader.error != NULL));
    check_place(&reader);
    if (!failed)
        check_same(text, size);
    fuzz_faults(0); /* the first call for memory */
    json_init(&reader, text, size);
    while (json_next(&reader, &token) > JSON_END)
        ;
    fuzz_faults_end();
    json_place_advance(&reader, &(struct json_place){.line = 1, .column = 1}, size + 1);
    return 0;
}
