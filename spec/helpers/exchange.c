/* Preloaded into a script by a spec: after a directory has been created, runs the shell
 * command in $QVM_EXCHANGE, so that the spec can exchange the directory at this moment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef int maker(const char *path, mode_t mode);
typedef int maker_at(int directory, const char *path, mode_t mode);

static int exchange(int status)
{
    const char *command = getenv("QVM_EXCHANGE");

    unsetenv("LD_PRELOAD");
    if (status == 0 && command && system(command) != 0)
        abort();
    return status;
}

int mkdir(const char *path, mode_t mode)
{
    maker *next;

    *(void **)&next = dlsym(RTLD_NEXT, "mkdir");
    return exchange(next(path, mode));
}

int mkdirat(int directory, const char *path, mode_t mode)
{
    maker_at *next;

    *(void **)&next = dlsym(RTLD_NEXT, "mkdirat");
    return exchange(next(directory, path, mode));
}
