/* Replaces the dynamic loader in a static executable, by the linker's option --wrap.
 *
 * A Lua library that was built for `lua` calls dlopen() for C modules. In a static
 * executable the C library's dlopen() would load a second C library. With these functions
 * Lua loads no C modules, and says so. */
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);
char *__wrap_dlerror(void);

void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}

char *__wrap_dlerror(void)
{
    static char message[] = "qvmlua loads no C modules";

    return message;
}
