/* UTF-8 is validated with the table of the Unicode standard, which lists the byte ranges of
 * well-formed sequences: comparing the first two bytes with it excludes overlong sequences,
 * surrogates and what is above U+10FFFF without decoding.
 *
 * Escaping works on one character at a time. A character is unsafe, and is escaped, if it
 * is
 * - an ASCII or C1 control character: terminals act on them;
 * - invisible, or one that changes the direction of writing: what is shown then differs
 *   from what is there;
 * - a line or paragraph separator, or a noncharacter: JSON and XML readers may reject them.
 * A byte that does not begin a well-formed sequence is a character of its own. */
#include "util/text.h"

#include <stdbool.h>
#include <string.h>

static bool in_range(const char *text, size_t i, unsigned low, unsigned high)
{
    unsigned char byte = (unsigned char)text[i];

    return byte >= low && byte <= high;
}

size_t utf8_length(const char *text, size_t size)
{
    /* Unicode, table 3-7. Bytes after the second are always 80..BF. */
    static const struct {
        unsigned char lead_low, lead_high, second_low, second_high, length;
    } sequences[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t f = 0; size > 0 && f < sizeof sequences / sizeof sequences[0]; f++) {
        if (!in_range(text, 0, sequences[f].lead_low, sequences[f].lead_high))
            continue;
        if (sequences[f].length > size)
            return 0;
        if (sequences[f].length > 1 &&
            !in_range(text, 1, sequences[f].second_low, sequences[f].second_high))
            return 0;
        for (size_t i = 2; i < sequences[f].length; i++)
            if (!in_range(text, i, 0x80, 0xbf))
                return 0;
        return sequences[f].length;
    }
    return 0;
}

/*     0000 .. 007F         0xxxxxxx
 *     0080 .. 07FF         110xxxxx 10xxxxxx
 *     0800 .. FFFF         1110xxxx 10xxxxxx 10xxxxxx
 *     10000 .. 10FFFF      11110xxx 10xxxxxx 10xxxxxx 10xxxxxx
 *
 * The caller excludes surrogates and what is above 10FFFF. */
size_t utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Which characters are unsafe: see the top of this file. The last two code points of every
 * plane are noncharacters. */
static bool is_unsafe(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
        {0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return (code & 0xfffe) == 0xfffe;
}

/* Decodes a well-formed sequence. */
static uint32_t code_of(const char *text, size_t length)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)text[0] & masks[length];

    for (size_t i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}

static char *put_hex(char *out, char kind, unsigned value, unsigned digits)
{
    *out++ = '\\';
    *out++ = kind;
    for (unsigned i = digits; i-- > 0;)
        *out++ = "0123456789abcdef"[value >> 4 * i & 15];
    return out;
}

static size_t put_hex_bytes(const char *text, size_t length, char *out)
{
    char *end = out;

    for (size_t i = 0; i < length; i++)
        end = put_hex(end, 'x', (unsigned char)text[i], 2);
    return (size_t)(end - out);
}

/* \u has four digits: what is above U+FFFF takes a surrogate pair. */
static size_t put_json(uint32_t code, char *out)
{
    char *end = out;

    if (code > 0xffff) {
        end = put_hex(end, 'u', 0xd800 | (code - 0x10000) >> 10, 4);
        code = 0xdc00 | (code & 0x3ff);
    }
    return (size_t)(put_hex(end, 'u', code, 4) - out);
}

/* A byte that begins no character is shown as \xNN. JSON has no bytes, so there it becomes
 * \ufffd, the replacement character. */
size_t escape_next(const char *text, size_t size, enum escape_form form,
                   char out[ESCAPE_SIZE], size_t *used)
{
    size_t length = utf8_length(text, size);
    uint32_t code = length > 0 ? code_of(text, length) : 0xfffd;

    *used = length > 0 ? length : 1;
    if (form == ESCAPE_JSON && (code == '"' || code == '\\' || code == '\n')) {
        out[0] = '\\';
        out[1] = (char)(code == '\n' ? 'n' : code);
        return 2;
    }
    if (length > 0 && !is_unsafe(code)) {
        memcpy(out, text, length);
        return length;
    }
    return form == ESCAPE_JSON ? put_json(code, out) : put_hex_bytes(text, *used, out);
}
