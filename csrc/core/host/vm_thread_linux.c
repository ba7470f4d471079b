/* A thread of a simulated VM, from /proc/PID/task/TID, which is opened relative to the
 * process's directory: the answer is that of the verified process, even if ids are reused.
 *
 * stat (proc_pid_stat(5)) is one line: "TID (NAME) STATE ...", where the name may have any
 * characters, so the last ")" ends it. Of the fields after it, counted from 3, which is the
 * state, 14 and 15 are the time in user and kernel mode, in clock ticks, and 18 is the
 * priority: 20 plus the nice value, or -1 minus the priority of a real-time thread. A
 * smaller number is more urgent.
 *
 * schedstat begins with the time on a processor in nanoseconds. Kernels that were built
 * without CONFIG_SCHED_INFO have no such file or say 0: then the ticks count.
 *
 * Linux does not say whether a thread in state R runs or only waits for a processor. */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/process_linux.h"
#    include "host/vm_thread.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <errno.h>
#    include <fcntl.h>
#    include <inttypes.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <unistd.h>

struct wanted {
    int64_t tid;
    struct vm_thread *thread;
};

/* Reads DIRECTORY/task/TID/NAME as a string, cut to `size` bytes with its NUL. Returns 0,
 * or -1 with errno. */
static int read_file(int directory, int64_t tid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "task/%" PRId64 "/%s", tid, name);
    fd = retry_openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    do
        length = read(fd, text, size - 1);
    while (length < 0 && errno == EINTR);
    os_close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length < 0 ? -1 : 0;
}

static const char *state_name(char letter)
{
    static const struct {
        char letter;
        const char *name;
    } states[] = {{'R', "running"}, {'S', "sleeping"}, {'D', "uninterruptible"},
                  {'T', "stopped"}, {'t', "traced"},   {'Z', "dead"},
                  {'X', "dead"},    {'I', "idle"},     {'P', "parked"}};

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].letter == letter)
            return states[i].name;
    }
    return "unknown";
}

/* The start of field `number`, counted as in stat, in the text from field 3 on. NULL if
 * there are fewer. */
static const char *field(const char *text, int number)
{
    for (int i = 3; i < number && text; i++) {
        text = strchr(text, ' ');
        text = text ? text + 1 : NULL;
    }
    return text;
}

static int parse_stat(const char *text, struct vm_thread *thread)
{
    const char *name = strchr(text, '('), *end = strrchr(text, ')');
    const char *rest = end && end[1] == ' ' ? end + 2 : NULL;
    const char *times = rest ? field(rest, 14) : NULL;
    const char *priority = rest ? field(rest, 18) : NULL;
    long frequency = sysconf(_SC_CLK_TCK);
    unsigned long long user, system;

    if (!name || name > end || !priority || frequency <= 0 ||
        sscanf(times, "%llu %llu", &user, &system) != 2)
        return -1;
    snprintf(thread->name, sizeof thread->name, "%.*s", (int)(end - name - 1), name + 1);
    snprintf(thread->state, sizeof thread->state, "%s", state_name(*rest));
    thread->cpu_time = (user + system) * (UINT64_C(1000000000) / (uint64_t)frequency);
    thread->priority = strtoll(priority, NULL, 10);
    return 0;
}

/* A thread and its process may end at any time. Signal 0 only asks for the process. */
static int fail_read(const struct process *process, int64_t tid, int number,
                     struct qvm_error *err)
{
    if (number != ENOENT && number != ESRCH)
        return qvm_fail_errno(err, number, process->path);
    if (process_signal(process, 0, err) != 0 && err->code == QVM_GONE)
        return -1;
    return qvm_fail(err, QVM_NOT_FOUND, "%s: process %ld has no thread %" PRId64,
                    process->path, (long)process->pid, tid);
}

static int read_thread(const struct process *process, void *context, struct qvm_error *err)
{
    const struct wanted *wanted = context;
    char text[1024];
    uint64_t run;

    if (read_file(process->directory, wanted->tid, "stat", text, sizeof text) != 0)
        return fail_read(process, wanted->tid, errno, err);
    if (parse_stat(text, wanted->thread) != 0)
        return qvm_fail(err, QVM_UNSUPPORTED,
                        "%s: thread %" PRId64 ": its stat in /proc "
                        "is not understood",
                        process->path, wanted->tid);
    if (read_file(process->directory, wanted->tid, "schedstat", text, sizeof text) == 0 &&
        sscanf(text, "%" SCNu64, &run) == 1 && run > 0)
        wanted->thread->cpu_time = run;
    return 0;
}

int vm_thread_read(const char *path, int64_t tid, int64_t deadline,
                   struct vm_thread *thread, struct qvm_error *err)
{
    struct wanted wanted = {tid, thread};
    pid_t pid;

    return process_visit_server(path, deadline, read_thread, &wanted, &pid, err);
}

#else
typedef int vm_thread_linux_is_unused; /* a file must not be empty */
#endif
