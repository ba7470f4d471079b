/* Scans a number by the grammar of RFC 8259, then converts it. Guest addresses are above
 * 2^63 and do not fit a double, so a number without fraction and exponent is converted by
 * integer arithmetic, from -2^63 to 2^64-1. What is outside that range, or is not an
 * integer, becomes the nearest double; the token says so if an integer lost digits. */
#include "json/json_number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char json_no_memory[] = "not enough memory";

static bool is_digit(const char *text, size_t size, size_t at)
{
    return at < size && text[at] >= '0' && text[at] <= '9';
}

static size_t skip_digits(const char *text, size_t size, size_t at)
{
    while (is_digit(text, size, at))
        at++;
    return at;
}

/* The value of decimal digits; false if it does not fit 64 bits. The test before each step
 * is exact: v * 10 + d <= MAX holds for integers if and only if v <= (MAX - d) / 10,
 * rounded down. */
static bool magnitude(const char *digits, size_t count, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (*value > (UINT64_MAX - digit) / 10) /* value * 10 + digit overflows */
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

/* False if the number is outside -2^63 .. 2^64-1. The 64 bits are those of the value modulo
 * 2^64: -1 and 2^64-1 have the same ones, and a Lua integer shows the latter as -1. That is
 * how Lua treats unsigned 64-bit values. */
static bool to_integer(const char *text, size_t size, int64_t *integer)
{
    bool negative = text[0] == '-';
    uint64_t value;

    if (!magnitude(text + negative, size - negative, &value))
        return false;
    if (negative && value > UINT64_C(1) << 63)
        return false;
    if (negative)
        value = UINT64_C(0) - value;
    memcpy(integer, &value, sizeof value); /* a cast is implementation-defined */
    return true;
}

/* strtod() is correctly rounded, but needs a NUL after the number and expects the decimal
 * point of the current locale. So it gets a copy in which the locale's point replaces the
 * '.'; the copy is on the stack unless the number is very long. Returns NULL or an error. A
 * number may have millions of digits: cutting them would round wrongly, so all are copied.
 */
static const char *to_double(const char *text, size_t size, double *number)
{
    const char *point = localeconv()->decimal_point;
    const char *dot = memchr(text, '.', size);
    size_t head = dot ? (size_t)(dot - text) : size, width = dot ? strlen(point) : 0;
    char local[128], *copy = local;
    size_t tail = dot ? size - head - 1 : 0;

    if (head + width + tail >= sizeof local) {
        copy = malloc(head + width + tail + 1);
        if (!copy)
            return json_no_memory;
    }
    memcpy(copy, text, head);
    if (dot) {
        memcpy(copy + head, point, width);
        memcpy(copy + head + width, dot + 1, tail);
    }
    copy[head + width + tail] = '\0';
    *number = strtod(copy, NULL);
    if (copy != local)
        free(copy);
    return NULL;
}

/* Scans the fraction and the exponent, if they are there. */
static const char *scan_fraction(const char *text, size_t size, size_t *at,
                                 bool *is_integer)
{
    if (*at < size && text[*at] == '.') {
        ++*at;
        if (!is_digit(text, size, *at))
            return "a digit is expected after the decimal point";
        *at = skip_digits(text, size, *at);
        *is_integer = false;
    }
    if (*at < size && (text[*at] == 'e' || text[*at] == 'E')) {
        ++*at;
        if (*at < size && (text[*at] == '+' || text[*at] == '-'))
            ++*at;
        if (!is_digit(text, size, *at))
            return "a digit is expected in the exponent";
        *at = skip_digits(text, size, *at);
        *is_integer = false;
    }
    return NULL;
}

/* number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ "e" [ "+" / "-" ] 1*digit ]
 * "-0" is the integer 0. */
const char *json_number(const char *text, size_t size, size_t *at, struct json_token *token)
{
    size_t start = *at, first = start + (text[start] == '-');
    bool is_integer = true;
    const char *error;

    if (!is_digit(text, size, first)) {
        *at = first;
        return "a digit is expected after '-'";
    }
    *at = skip_digits(text, size, first);
    if (text[first] == '0' && *at > first + 1) {
        *at = first;
        return "a number must not have leading zeros";
    }
    error = scan_fraction(text, size, at, &is_integer);
    if (error)
        return error;
    token->text = text + start;
    token->size = *at - start;
    token->inexact = false;
    token->type = JSON_INTEGER;
    if (is_integer && to_integer(token->text, token->size, &token->integer))
        return NULL;
    token->type = JSON_FLOAT;
    error = to_double(token->text, token->size, &token->number);
    token->inexact = is_integer || isinf(token->number);
    return error;
}
