/* Included before everything else in files that run on the fake: redirects their calls to
 * it. */
#ifndef QVM_SPEC_FAKE_NAMES_H
#define QVM_SPEC_FAKE_NAMES_H

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

int fake_open(const char *path, int flags, ...);
ssize_t fake_read(int fd, void *buffer, size_t size);
int fake_close(int fd);
int fake_kill(pid_t pid, int number);
int fake_clock_gettime(clockid_t id, struct timespec *time);

#define open          fake_open
#define read          fake_read
#define close         fake_close
#define kill          fake_kill
#define clock_gettime fake_clock_gettime

#endif
