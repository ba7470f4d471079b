/* Escaped are: ASCII control characters; bytes that are no UTF-8 (lone surrogates among
 * them); C1 control characters; characters without a look of their own; those that turn the
 * direction of writing; line and paragraph separators; noncharacters, two of which XML
 * cannot hold. */
#include "util/escape.h"

#include "util/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

static size_t put_shown(const char *text, size_t length, char *out)
{
    char *end = out;

    for (size_t i = 0; i < length; i++)
        end = put_hex(end, 'x', (unsigned char)text[i], 2);
    return (size_t)(end - out);
}

static size_t put_json(uint32_t code, char *out)
{
    char *end = out;

    if (code > 0xffff) {
        end = put_hex(end, 'u', 0xd800 | (code - 0x10000) >> 10, 4);
        code = 0xdc00 | (code & 0x3ff);
    }
    return (size_t)(put_hex(end, 'u', code, 4) - out);
}

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
    return form == ESCAPE_JSON ? put_json(code, out) : put_shown(text, *used, out);
}
