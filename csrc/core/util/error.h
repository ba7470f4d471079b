/* Runtime failures: a code that scripts test, and a message that people read.
 *
 * Most failures are discarded: a search meets an address that is not mapped, a walk finds
 * no table. So a failure costs little: qvm_fail() stores the format and its arguments, and
 * qvm_error_text() writes the message when somebody wants to read it. A `struct qvm_error`
 * is on the caller's stack, owns nothing, and is undefined until a call has failed.
 *
 * Lifetime: the error refers to the format and to its strings. They must live until
 * the message is written: literals, the path that the caller has passed in, the path of an
 * open file (which is the caller's, see image_file.h). qvm_error_copy() takes a short
 * string that does not live so long. */
#ifndef QVM_ERROR_H
#define QVM_ERROR_H

#include <stddef.h>
#include <stdint.h>

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
    QVM_INCOMPLETE, /* part of the work is done: call once more (compressed files) */
    QVM_NO_MEMORY   /* the binding raises it */
};

/* Bytes of a message that has a path of PATH_MAX in it, and of a string to be copied. */
#define QVM_MESSAGE_SIZE    4608
#define QVM_ERROR_COPY_SIZE 256

/* Conversions that a format may have. */
#define QVM_ERROR_VALUES 8

union qvm_error_value {
    uint64_t number; /* of a signed conversion: extended to 64 bits */
    const char *string;
};

struct qvm_error {
    enum qvm_code code;
    int system; /* errno's value, whose text ends the message; 0: none */
    const char *format;
    union qvm_error_value values[QVM_ERROR_VALUES];
    char copy[QVM_ERROR_COPY_SIZE]; /* see qvm_error_copy */
};

#if defined(__GNUC__)
#    define QVM_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#    define QVM_PRINTF(text, rest)
#endif

/* The name scripts know a code by, such as "not_found". */
const char *qvm_code_name(enum qvm_code code);

/* Fills err and returns -1, so that a caller can fail in one line. The format is a literal
 * with up to QVM_ERROR_VALUES conversions: %s, and %d, %u, %x of int, long and long long
 * (PRIu64 and its like among them), with a width that is padded with zeros or none. */
int qvm_fail(struct qvm_error *err, enum qvm_code code, const char *format, ...)
    QVM_PRINTF(3, 4);

/* The same for a failed system call: the code follows from errno's value `number`, and the
 * message ends with ": " and what the system says. */
int qvm_fail_system(struct qvm_error *err, int number, const char *format, ...)
    QVM_PRINTF(3, 4);

/* The usual case of it: the message is "subject: what the system says". */
int qvm_fail_errno(struct qvm_error *err, int number, const char *subject);

/* Out of memory while doing something for `subject`. */
int qvm_fail_memory(struct qvm_error *err, const char *subject);

/* Copies a string into the error that is about to be filled: for an argument of qvm_fail()
 * that lives shorter than the error. What is longer than QVM_ERROR_COPY_SIZE - 1 is cut.
 * One for each error. */
const char *qvm_error_copy(struct qvm_error *err, const char *string);

/* Writes the message, cut to `size` bytes with its NUL (at least 1). Returns its length. */
size_t qvm_error_text(const struct qvm_error *err, char *text, size_t size);

#endif
