#define _GNU_SOURCE
#include "conf/place.h"

#include "exitcode.h"
#include "file.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Words of the user's end up in messages, and quoted ones can hold newlines: control
   characters are replaced, so that a message stays one line. */
static void write_message(struct place place, const char *kind, const char *format,
                          va_list args)
{
    char message[1024];
    struct text line = {0};

    (void)vsnprintf(message, sizeof message, format, args);
    text_string(&line, "qvm: ");
    if (place.file) {
        text_clean(&line, place.file);
        text_printf(&line, ":%lu: ", place.line);
    } else if (place.line) {
        text_printf(&line, "argument %lu: ", place.line);
    }
    text_string(&line, kind);
    text_clean(&line, message);
    text_string(&line, "\n");
    (void)file_write(STDERR_FILENO, line.data, line.length);
    text_free(&line);
}

void place_warn(struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(place, "warning: ", format, args);
    va_end(args);
}

_Noreturn void place_fail(struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_message(place, "", format, args);
    va_end(args);
    exit(EXITCODE_CONFIG);
}

/* Room doubles: it is full when the count is a power of two. */
void *place_grow(void *items, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    char *larger = is_full ? reallocarray(items, count ? 2 * count : 1, size) : items;

    if (!larger) {
        (void)fputs("qvm: out of memory\n", stderr);
        exit(EXITCODE_BEFORE_GUEST);
    }
    memset(larger + count * size, 0, size);
    return larger;
}
