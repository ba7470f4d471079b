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

/* Magnitude of the digits; false if it does not fit 64 bits. */
static bool magnitude(const char *digits, size_t count, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

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
    memcpy(integer, &value, sizeof value);
    return true;
}

/* strtod reads the decimal point of the current locale, and needs an end. */
static const char *to_double(const char *text, size_t size, double *number)
{
    const char *point = localeconv()->decimal_point;
    const char *dot = memchr(text, '.', size);
    size_t head = dot ? (size_t)(dot - text) : size, width = dot ? strlen(point) : 0;
    char small[128], *copy = small;
    size_t tail = dot ? size - head - 1 : 0;

    if (head + width + tail >= sizeof small) {
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
    if (copy != small)
        free(copy);
    return NULL;
}

static const char *scan_fraction(const char *text, size_t size, size_t *at, bool *plain)
{
    if (*at < size && text[*at] == '.') {
        ++*at;
        if (!is_digit(text, size, *at))
            return "a digit is expected after the decimal point";
        *at = skip_digits(text, size, *at);
        *plain = false;
    }
    if (*at < size && (text[*at] == 'e' || text[*at] == 'E')) {
        ++*at;
        if (*at < size && (text[*at] == '+' || text[*at] == '-'))
            ++*at;
        if (!is_digit(text, size, *at))
            return "a digit is expected in the exponent";
        *at = skip_digits(text, size, *at);
        *plain = false;
    }
    return NULL;
}

const char *json_number(const char *text, size_t size, size_t *at, struct json_token *token)
{
    size_t start = *at, first = start + (text[start] == '-');
    bool plain = true;
    const char *why;

    if (!is_digit(text, size, first)) {
        *at = first;
        return "a digit is expected after '-'";
    }
    *at = skip_digits(text, size, first);
    if (text[first] == '0' && *at > first + 1) {
        *at = first;
        return "a number must not have leading zeros";
    }
    why = scan_fraction(text, size, at, &plain);
    if (why)
        return why;
    token->text = text + start;
    token->size = *at - start;
    token->inexact = false;
    token->type = JSON_INTEGER;
    if (plain && to_integer(token->text, token->size, &token->integer))
        return NULL;
    token->type = JSON_FLOAT;
    why = to_double(token->text, token->size, &token->number);
    token->inexact = plain || isinf(token->number);
    return why;
}
