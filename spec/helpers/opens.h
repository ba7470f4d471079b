/* For a library that is preloaded into a script and replaces open(): every variant of the
 * call, whichever way the caller was compiled, ends in open_instead(), which the file that
 * includes this defines. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

static int open_instead(const char *path, int flags, mode_t mode);

#define INSTEAD_OF(name)                                   \
    int name(const char *path, int flags, ...)             \
    {                                                      \
        va_list rest;                                      \
        mode_t mode;                                       \
                                                           \
        va_start(rest, flags);                             \
        mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                      \
        return open_instead(path, flags, mode);            \
    }

INSTEAD_OF(open)
INSTEAD_OF(open64)

/* With _FORTIFY_SOURCE, glibc's headers turn open(path, flags) into a call of these. */
#define FORTIFIED_INSTEAD_OF(name)           \
    int name(const char *path, int flags);   \
    int name(const char *path, int flags)    \
    {                                        \
        return open_instead(path, flags, 0); \
    }

FORTIFIED_INSTEAD_OF(__open_2)
FORTIFIED_INSTEAD_OF(__open64_2)
