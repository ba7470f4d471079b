/* Preloaded into a script by a spec: writes a line to standard error for each thread that
 * is started. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef int creator(pthread_t *thread, const pthread_attr_t *attributes,
                    void *(*run)(void *), void *argument);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*run)(void *), void *argument)
{
    creator *next;

    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (write(STDERR_FILENO, "thread\n", 7) != 7)
        abort();
    return next(thread, attributes, run, argument);
}
