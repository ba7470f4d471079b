/* Failures of the world: a code that scripts test, a message that people read. */
#ifndef QVM_ERROR_H
#define QVM_ERROR_H

#include <stdarg.h>

enum qvm_code {
    QVM_NOT_FOUND,
    QVM_PERMISSION,
    QVM_NOT_QVM,
    QVM_GONE,
    QVM_MALFORMED,
    QVM_TRUNCATED,
    QVM_TOO_LARGE,
    QVM_UNMAPPED,
    QVM_TIMEOUT,
    QVM_UNSUPPORTED,
    QVM_IO,
    QVM_BUSY,
    /* These have no name for scripts. */
    QVM_INCOMPLETE, /* call once more: part of the work is done (compressed files) */
    QVM_NO_MEMORY   /* a binding raises it */
};

/* Room for a path of PATH_MAX and what there is to say about it. */
#define QVM_MESSAGE_SIZE 4608

struct qvm_error {
    enum qvm_code code;
    char message[QVM_MESSAGE_SIZE];
};

#if defined(__GNUC__)
#    define QVM_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#    define QVM_PRINTF(text, rest)
#endif

/* The name scripts know a code by, such as "not_found". */
const char *qvm_code_name(enum qvm_code code);

/* Fills err and returns -1, so that a caller can fail in one line. */
int qvm_fail(struct qvm_error *err, enum qvm_code code, const char *format, ...)
    QVM_PRINTF(3, 4);

/* The same for a failed system call: the code follows from errno's value `number`; the
 * message is "subject: what the system says". */
int qvm_fail_errno(struct qvm_error *err, int number, const char *subject);

/* Out of memory while doing something for `subject`. */
int qvm_fail_memory(struct qvm_error *err, const char *subject);

#endif
