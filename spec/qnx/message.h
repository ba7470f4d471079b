/* What both tests print of a failure. */
#ifndef QNX_MESSAGE_H
#define QNX_MESSAGE_H

#include "util/error.h"

/* The message of a failure, in a static buffer; empty if nothing has failed. */
static inline const char *message_of(const struct qvm_error *err)
{
    static char text[QVM_MESSAGE_SIZE];

    text[0] = '\0';
    if (err->format)
        qvm_error_text(err, text, sizeof text);
    return text;
}

#endif
