/* A new thread inherits the mask of signals, so the caller's is changed while the thread is
 * created. Its own faults stay deliverable, so that the program's handlers see them. */
#include "util/thread.h"

#include <signal.h>
#include <stddef.h>

bool thread_start(pthread_t *thread, const pthread_attr_t *attributes,
                  void *run(void *argument), void *argument)
{
    static const int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(thread, attributes, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}
