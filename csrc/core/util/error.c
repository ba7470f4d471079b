#include "util/error.h"

#include <errno.h>
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

int qvm_fail(struct qvm_error *err, enum qvm_code code, const char *format, ...)
{
    va_list arguments;

    err->code = code;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return -1;
}

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
    case EBUSY:
    case EAGAIN: return QVM_BUSY;
    default: return QVM_IO;
    }
}

int qvm_fail_errno(struct qvm_error *err, int number, const char *subject)
{
    char reason[128];

    if (number == ENOMEM)
        return qvm_fail_memory(err, subject);
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    return qvm_fail(err, code_of_errno(number), "%s: %s", subject, reason);
}

int qvm_fail_memory(struct qvm_error *err, const char *subject)
{
    return qvm_fail(err, QVM_NO_MEMORY, "%s: not enough memory", subject);
}
