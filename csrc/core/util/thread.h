/* Threads of the library's own. */
#ifndef QVM_THREAD_H
#define QVM_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread that takes no signals from outside: they are for the thread that calls.
 * Attributes may be NULL. False: it could not be started. */
bool thread_start(pthread_t *thread, const pthread_attr_t *attributes,
                  void *run(void *argument), void *argument);

#endif
