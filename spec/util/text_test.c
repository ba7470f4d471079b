/* Tests UTF-8 against the definition of RFC 3629: a sequence is well-formed if it decodes
 * to a valid code point whose encoding is the same bytes. Tests escaping against a
 * decoder of JSON strings. */
#include "util/text.h"

#include "check.h"

#include <string.h>

enum { CODES = 0x110000 };

static bool may_be_encoded(uint32_t code)
{
    return code < CODES && (code < 0xd800 || code > 0xdfff);
}

/* Uses arithmetic, not masks as the unit does. */
static size_t encode(uint32_t code, unsigned char out[4])
{
    static const uint32_t limits[] = {0x80, 0x800, 0x10000, CODES};
    static const unsigned leads[] = {0, 192, 224, 240};
    size_t length = 1;

    while (code >= limits[length - 1])
        length++;
    for (size_t i = length; i-- > 1; code /= 64)
        out[i] = (unsigned char)(128 + code % 64);
    out[0] = (unsigned char)(leads[length - 1] + code);
    return length;
}

/* The length of the sequence according to its lead byte, and its code point if all other
 * bytes count as six bits each. */
static size_t decode(const unsigned char *bytes, uint32_t *code)
{
    size_t length = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    static const unsigned leads[] = {0, 192, 224, 240};

    *code = bytes[0] - leads[length - 1];
    for (size_t i = 1; i < length; i++)
        *code = *code * 64 + bytes[i] % 64;
    return length;
}

static size_t naive_length(const unsigned char *bytes, size_t size)
{
    unsigned char again[4];
    uint32_t code;
    size_t length;

    if (size == 0 || (bytes[0] >= 0x80 && bytes[0] < 0xc0) || bytes[0] > 0xf7)
        return 0;
    length = decode(bytes, &code);
    if (length > size || !may_be_encoded(code) || encode(code, again) != length)
        return 0;
    return memcmp(again, bytes, length) == 0 ? length : 0;
}

static void accepts_exactly_the_wellformed_sequences(void)
{
    static const unsigned char others[] = {0x00, 0x7f, 0x80, 0x8f, 0xbf, 0xc0, 0xff};
    unsigned char b[4];

    for (unsigned pair = 0; pair < 0x10000; pair++)
        for (unsigned i = 0; i < sizeof others * sizeof others; i++) {
            b[0] = (unsigned char)(pair >> 8);
            b[1] = (unsigned char)pair;
            b[2] = others[i / sizeof others];
            b[3] = others[i % sizeof others];
            CHECK(utf8_length((const char *)b, 4) == naive_length(b, 4));
        }
}

static void check_cut(const unsigned char *bytes, size_t length)
{
    for (size_t size = 0; size <= length; size++)
        CHECK(utf8_length((const char *)bytes, size) == naive_length(bytes, size));
}

static void check_code(uint32_t code)
{
    unsigned char expected[4];
    char out[4];
    size_t length = encode(code, expected);

    CHECK(utf8_put(out, code) == length && memcmp(out, expected, length) == 0);
    check_cut(expected, length);
}

static uint32_t read_hex(const char *digits)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value * 16 +
                (uint32_t)(strchr("0123456789abcdef", digits[i]) - "0123456789abcdef");
    return value;
}

/* The code point of a JSON string of n bytes, if it has exactly one. */
static uint32_t json_value(const char *text, size_t n)
{
    uint32_t code;

    if (text[0] != '\\')
        return decode((const unsigned char *)text, &code) == n ? code : UINT32_MAX;
    if (n == 2)
        return text[1] == 'n' ? '\n' : (unsigned char)text[1];
    if (n == 6 && text[1] == 'u')
        return read_hex(text + 2);
    if (n == 12 && text[1] == 'u' && text[6] == '\\' && text[7] == 'u')
        return 0x10000 + ((read_hex(text + 2) - 0xd800) << 10) + read_hex(text + 8) -
               0xdc00;
    return UINT32_MAX;
}

/* Escaped or not, a JSON reader gets the same code point; people get a character either
 * unchanged or as \xNN for each byte. */
static void check_escapes(uint32_t code)
{
    unsigned char bytes[4];
    char out[ESCAPE_SIZE];
    size_t length = encode(code, bytes), used, n;

    n = escape_next((const char *)bytes, length, ESCAPE_JSON, out, &used);
    CHECK(n <= ESCAPE_SIZE && used == length && json_value(out, n) == code);
    CHECK(code >= 0x20 || out[0] == '\\');
    n = escape_next((const char *)bytes, length, ESCAPE_SHOWN, out, &used);
    CHECK(used == length && (n == length ? memcmp(out, bytes, n) == 0
                                         : n == 4 * length && memcmp(out, "\\x", 2) == 0));
    CHECK((code >= 0x20 && code != 0x7f) || n == 4);
}

static void escapes_bytes_that_are_not_utf8(void)
{
    static const char lone[] = "\xed\xa0\x80"; /* a surrogate */
    char out[ESCAPE_SIZE];
    size_t used;

    CHECK(escape_next(lone, 3, ESCAPE_SHOWN, out, &used) == 4 && used == 1 &&
          memcmp(out, "\\xed", 4) == 0);
    CHECK(escape_next(lone, 3, ESCAPE_JSON, out, &used) == 6 && used == 1 &&
          memcmp(out, "\\ufffd", 6) == 0);
}

static void encodes_and_escapes_each_code_point(void)
{
    for (uint32_t code = 0; code < CODES; code++)
        if (may_be_encoded(code)) {
            check_case = code;
            check_code(code);
            check_escapes(code);
        }
}

int main(void)
{
    TEST(accepts_exactly_the_wellformed_sequences);
    TEST(encodes_and_escapes_each_code_point);
    TEST(escapes_bytes_that_are_not_utf8);
    return test_report();
}
