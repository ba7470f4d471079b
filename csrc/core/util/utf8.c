#include "util/utf8.h"

#include <stdbool.h>

static bool in_range(const char *text, size_t i, unsigned low, unsigned high)
{
    unsigned char byte = (unsigned char)text[i];

    return byte >= low && byte <= high;
}

size_t utf8_length(const char *text, size_t size)
{
    /* Unicode, table 3-7: what may follow each lead byte. */
    static const struct {
        unsigned char lead_low, lead_high, second_low, second_high, length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t f = 0; size > 0 && f < sizeof forms / sizeof forms[0]; f++) {
        if (!in_range(text, 0, forms[f].lead_low, forms[f].lead_high))
            continue;
        if (forms[f].length > size)
            return 0;
        if (forms[f].length > 1 &&
            !in_range(text, 1, forms[f].second_low, forms[f].second_high))
            return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if (!in_range(text, i, 0x80, 0xbf))
                return 0;
        return forms[f].length;
    }
    return 0;
}

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
