/* The Lua files that the executable contains. embed.lua writes the definitions when qvmlua
 * is built. */
#ifndef QVMLUA_SOURCES_H
#define QVMLUA_SOURCES_H

#include <stddef.h>

struct source {
    const char *module; /* the name that `require` takes */
    const char
        *chunk; /* the name in messages and tracebacks, as luaL_loadbufferx takes it */
    const unsigned char *packed; /* the text, as gzip writes it */
    size_t packed_size;
    size_t size; /* of the text, in bytes */
};

/* Ends with an entry whose module is NULL. */
extern const struct source sources[];

#endif
