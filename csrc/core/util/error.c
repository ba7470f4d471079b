/* Failures are captured first and written later.
 *
 * qvm_fail() goes through its format once and stores each argument as 64 bits: a number
 * extended by its sign, or a string's pointer. That takes some tens of nanoseconds, where
 * formatting takes hundreds. qvm_error_text() goes through the same format again, with the
 * same parser, and prints the stored values. The parser knows only the conversions that
 * error.h lists; the compiler checks that the arguments fit them (QVM_PRINTF). */
#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *qvm_code_name(enum qvm_code code)
{
    static const char *const names[] = {
        [QVM_NOT_FOUND] = "not_found",
        [QVM_PERMISSION] = "permission",
        [QVM_NOT_QVM] = "not_qvm",
        [QVM_GONE] = "gone",
        [QVM_MALFORMED] = "malformed",
        [QVM_TRUNCATED] = "truncated",
        [QVM_TOO_LARGE] = "too_large",
        [QVM_UNMAPPED] = "unmapped",
        [QVM_TIMEOUT] = "timeout",
        [QVM_UNSUPPORTED] = "unsupported",
        [QVM_IO] = "io",
        [QVM_BUSY] = "busy",
        [QVM_INCOMPLETE] = "incomplete",
        [QVM_NO_MEMORY] = "out of memory",
    };
    return names[code];
}

struct conversion {
    char kind;      /* 's', 'd', 'u' or 'x' */
    unsigned width; /* padded with zeros; 0: none */
    unsigned longs; /* 0: int, 1: long, 2: long long */
};

/* Parses the conversion that begins after a '%': a width, as "016", the length, as PRIu64
 * and its like have it on this system, and the kind. Returns where the text goes on. */
static const char *parse(const char *at, struct conversion *conversion)
{
    *conversion = (struct conversion){0};
    for (; *at >= '0' && *at <= '9'; at++)
        conversion->width = 10 * conversion->width + (unsigned)(*at - '0');
    for (; *at == 'l'; at++)
        conversion->longs++;
    conversion->kind = *at;
    return *at ? at + 1 : at;
}

/* Takes the next argument with the type that its conversion says: va_arg() of another one
 * is undefined. A signed number is extended to 64 bits by the conversion to uint64_t. */
static uint64_t next_number(va_list *arguments, const struct conversion *conversion)
{
    bool is_signed = conversion->kind == 'd';

    switch (conversion->longs) {
    case 0:
        return is_signed ? (uint64_t)va_arg(*arguments, int) : va_arg(*arguments, unsigned);
    case 1:
        return is_signed ? (uint64_t)va_arg(*arguments, long)
                         : va_arg(*arguments, unsigned long);
    default:
        return is_signed ? (uint64_t)va_arg(*arguments, long long)
                         : va_arg(*arguments, unsigned long long);
    }
}

/* Stores the arguments in the order of their conversions. The copy, if there is one, was
 * made before (qvm_error_copy) and stays.
 *
 *     qvm_fail(err, code, "%s: %u bytes missing", path, n)
 *     format        the literal, by its address
 *     values        path, by its address; n, as 64 bits
 *
 * So a string must live until the text is written. What does not is copied first. */
static void capture(struct qvm_error *err, const char *format, va_list *arguments)
{
    struct conversion conversion;
    const char *at = format;

    err->format = format;
    for (int i = 0; i < QVM_ERROR_VALUES && (at = strchr(at, '%')); i++) {
        at = parse(at + 1, &conversion);
        if (conversion.kind == 's')
            err->values[i].string = va_arg(*arguments, const char *);
        else
            err->values[i].number = next_number(arguments, &conversion);
    }
}

int qvm_fail(struct qvm_error *err, enum qvm_code code, const char *format, ...)
{
    va_list arguments;

    err->code = code;
    err->system = 0;
    va_start(arguments, format);
    capture(err, format, &arguments);
    va_end(arguments);
    return -1;
}

/* What a script can do about it decides: a name that leads nowhere is not found, whether it
 * is a loop, too long, or not there. */
static enum qvm_code code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP: return QVM_NOT_FOUND;
    case EACCES:
    case EPERM: return QVM_PERMISSION;
    case ETIMEDOUT: return QVM_TIMEOUT;
    case EISDIR:
    case ENOSYS:
    case ENOTSUP: return QVM_UNSUPPORTED;
    case ENOTCONN:
    case ECONNABORTED:
        return QVM_GONE; /* of files: the process that served them has died */
    case EBUSY:
    case EAGAIN: return QVM_BUSY;
    case ENOMEM: return QVM_NO_MEMORY;
    default: return QVM_IO;
    }
}

int qvm_fail_system(struct qvm_error *err, int number, const char *format, ...)
{
    va_list arguments;

    err->code = code_of_errno(number);
    err->system = number;
    va_start(arguments, format);
    capture(err, format, &arguments);
    va_end(arguments);
    return -1;
}

/* errno is passed in as a number: it may change between the failed call and this one. */
int qvm_fail_errno(struct qvm_error *err, int number, const char *subject)
{
    return qvm_fail_system(err, number, "%s", *subject ? subject : "(an empty path)");
}

int qvm_fail_memory(struct qvm_error *err, const char *subject)
{
    return qvm_fail_system(err, ENOMEM, "%s", subject);
}

const char *qvm_error_copy(struct qvm_error *err, const char *string)
{
    snprintf(err->copy, sizeof err->copy, "%s", string);
    return err->copy;
}

/* A message that is being written. */
struct output {
    char *text;
    size_t size, length; /* length < size: there is room for the NUL */
};

/* Appends as many of the bytes as there is room for. */
static void append(struct output *out, const char *bytes, size_t n)
{
    size_t room = out->size - 1 - out->length;

    n = n < room ? n : room;
    memcpy(out->text + out->length, bytes, n);
    out->length += n;
}

/* Writes the digits from the last one on. */
static void append_number(struct output *out, const struct conversion *conversion,
                          uint64_t number)
{
    char digits[40]; /* more than 20 digits and a sign, or 16 with zeros before them */
    unsigned base = conversion->kind == 'x' ? 16 : 10;
    bool negative = conversion->kind == 'd' && (int64_t)number < 0;
    size_t first = sizeof digits;

    if (negative)
        number = 0 - number;
    do
        digits[--first] = "0123456789abcdef"[number % base];
    while ((number /= base) > 0);
    while (sizeof digits - first < conversion->width && first > 1)
        digits[--first] = '0';
    if (negative)
        digits[--first] = '-';
    append(out, digits + first, sizeof digits - first);
}

/* strerror_r() writes into this buffer; strerror() would into one that threads share. Lack
 * of memory has one text, wherever it was noticed. */
static void append_system(struct output *out, int number)
{
    char reason[128];

    if (number == ENOMEM)
        snprintf(reason, sizeof reason, "not enough memory");
    else if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    append(out, ": ", 2);
    append(out, reason, strlen(reason));
}

/* Goes from one '%' to the next: text, value, text, value, and the text after the last. */
size_t qvm_error_text(const struct qvm_error *err, char *text, size_t size)
{
    struct output out = {.text = text, .size = size};
    struct conversion conversion;
    const char *at = err->format, *percent;

    for (int i = 0; i < QVM_ERROR_VALUES && (percent = strchr(at, '%')); i++) {
        append(&out, at, (size_t)(percent - at));
        at = parse(percent + 1, &conversion);
        if (conversion.kind == 's')
            append(&out, err->values[i].string, strlen(err->values[i].string));
        else
            append_number(&out, &conversion, err->values[i].number);
    }
    append(&out, at, strlen(at));
    if (err->system != 0)
        append_system(&out, err->system);
    text[out.length] = '\0';
    return out.length;
}
