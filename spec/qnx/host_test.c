/* Tests the QNX files of host/ and util/ on a fake of QNX's calls (fake.h), through their
 * headers. Prints TAP. A pass means that the code is right if the documentation was
 * understood correctly; none of it has run on QNX. */
#include "fake.h"
#include "host/dir_watch.h"
#include "host/vm_server.h"
#include "host/vm_thread.h"
#include "message.h"
#include "util/os.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char ENV[] = "/dev/qvm/linux1/env";
static int tests, failed;
static struct qvm_error err;

/* Prints one line of TAP and resets the world for the next test. In every test, each call
 * to a server must be bounded, no connection may stay open, and no signal may reach
 * another process. A known gap is reported as TODO and does not fail. */
static void check_known(bool passed, const char *what, const char *known_gap)
{
    bool clean = fake.unbounded == 0 && fake_open_count() == 0 &&
                 fake.wrong_deliveries == 0 && fake.processes[1].signals == 0;

    printf("%sok %d - %s%s%s\n", passed && clean ? "" : "not ", ++tests, what,
           known_gap ? " # TODO " : "", known_gap ? known_gap : "");
    if (!(passed && clean)) {
        printf("# %s; %d unbounded, %d open, %d to the innocent, %d to many\n",
               passed              ? "as expected"
               : *message_of(&err) ? message_of(&err)
                                   : "no error",
               fake.unbounded, fake_open_count(), fake.processes[1].signals,
               fake.wrong_deliveries);
        failed += !known_gap;
    }
    fake_reset();
    memset(&err, 0, sizeof err);
}

static void check(bool passed, const char *what)
{
    check_known(passed, what, NULL);
}

static int64_t soon(void)
{
    return os_clock_ms() + 500;
}

static pid_t server(void)
{
    pid_t pid = 0;

    return vm_server_find(ENV, soon(), &pid, &err) == 0 ? pid : -1;
}

static bool refused(enum qvm_code code, const char *text)
{
    return server() == -1 && err.code == code && strstr(message_of(&err), text);
}

static bool request(enum vm_request what)
{
    static struct vm_gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER};

    return vm_server_request(ENV, what, soon(), &gate, &err) == 0;
}

/* True if a request fails with this code and no process receives a signal. */
static bool unsent(enum qvm_code code)
{
    return !request(VM_REQUEST_DUMP) && err.code == code &&
           fake.processes[0].signals == 0 && fake.processes[2].signals == 0;
}

static void fail_times(enum fake_call call, int times, int number)
{
    fake.failures[call].times = times;
    fake.failures[call].number = number;
}

static void test_reading(void)
{
    char text[16] = "";
    int fd = vm_server_open(ENV, soon(), &err);
    ssize_t got = vm_server_read(fd, ENV, text, 2, soon(), &err);

    got += vm_server_read(fd, ENV, text + got, 2, soon(), &err);
    got += vm_server_read(fd, ENV, text + got, 2, soon(), &err);
    fake.connections[0].open = false;
    check(got == 3 && strcmp(text, "{}\n") == 0, "the env is read to its end");
    fake.env = NULL;
    check(vm_server_open(ENV, soon(), &err) == -1 && err.code == QVM_NOT_FOUND, "no env");
    fail_times(FAKE_OPEN_ENV, 1, EACCES);
    check(vm_server_open(ENV, soon(), &err) == -1 && err.code == QVM_PERMISSION,
          "an env that this user may not open");
    fd = vm_server_open(ENV, soon(), &err);
    fail_times(FAKE_READ_ENV, 1, EIO);
    got = vm_server_read(fd, ENV, text, 2, soon(), &err);
    fake.connections[0].open = false;
    check(got == -1 && err.code == QVM_IO, "an error from the server is reported");
    fd = vm_server_open(ENV, soon(), &err);
    fail_times(FAKE_READ_ENV, 1, EIO);
    got = vm_server_read(fd, ENV, text, 2, os_clock_ms() - 1, &err);
    fake.connections[0].open = false;
    check(got == -1 && err.code == QVM_IO,
          "an error from the server is also reported if it comes late");
}

static bool says_stuck(int64_t deadline)
{
    return vm_server_open(ENV, deadline, &err) == -1 && err.code == QVM_TIMEOUT &&
           strstr(message_of(&err), "may be stuck") && fake.bound > 0 &&
           fake.bound <= 500000000;
}

static void test_stuck(void)
{
    char text[16];
    int fd;

    fake.server->stuck = true;
    check(says_stuck(soon()), "a stuck server: opening is bounded by the remaining time");
    fake.server->stuck = true;
    check(says_stuck(os_clock_ms() - 1), "a stuck server: also when no time is left");
    fd = vm_server_open(ENV, soon(), &err);
    fake.server->stuck = true;
    check(vm_server_read(fd, ENV, text, sizeof text, soon(), &err) == -1 &&
              err.code == QVM_TIMEOUT && (fake.connections[0].open = false, true),
          "a stuck server: reading is bounded");
    fail_times(FAKE_READ_ENV, 1000000000, EINTR);
    fd = vm_server_open(ENV, soon(), &err);
    check(vm_server_read(fd, ENV, text, sizeof text, os_clock_ms() + 50, &err) == -1 &&
              err.code == QVM_TIMEOUT && (fake.connections[0].open = false, true),
          "endless signals do not prolong the wait for reading");
    fail_times(FAKE_OPEN_ENV, 1000000000, EINTR);
    check(vm_server_open(ENV, os_clock_ms() + 50, &err) == -1 && err.code == QVM_TIMEOUT,
          "nor the wait for opening");
}

static void test_interrupted(void)
{
    char text[16];
    int fd = vm_server_open(ENV, soon(), &err);
    ssize_t got;

    fail_times(FAKE_READ_ENV, 2, EINTR);
    got = vm_server_read(fd, ENV, text, sizeof text, soon(), &err);
    fake.connections[0].open = false;
    check(got == 3, "a signal while the env is read");
    fail_times(FAKE_OPEN_ENV, 2, EINTR);
    check(server() == 4099, "a signal while the env is opened");
    fail_times(FAKE_OPEN_EXEFILE, 2, EINTR);
    check(server() == 4099, "a signal while the executable's name is opened");
    fail_times(FAKE_READ_EXEFILE, 2, EINTR);
    check(server() == 4099, "a signal while the executable's name is read");
}

static void hide_connection(enum fake_call call, int count)
{
    if (call == FAKE_ASK && count == 1)
        fake.connections[0].open = false;
}

static void test_server(void)
{
    static const pid_t many[] = {0, -1, -4099};

    check(server() == 4099, "the server is found");
    fake.server->alive = false;
    check(refused(QVM_IO, "env"), "a server that died before the env was opened");
    fake.before = hide_connection;
    check(refused(QVM_IO, "env"), "a connection that does not exist");
    fake.connections[1] =
        (struct fake_connection){.open = true, .server = &fake.processes[1]};
    fake.before = hide_connection;
    fake.processes[1].exefile = "/proc/boot/qvm";
    check(refused(QVM_GONE, "no process serves it") &&
              (fake.connections[0].open = fake.connections[1].open = false, true),
          "the next higher connection is not mistaken for ours");
    fake.node = 5;
    check(refused(QVM_NOT_QVM, "another node"), "a server on another node");
    for (int i = 0; i < 3; i++) {
        fake.server->pid = many[i];
        check(unsent(QVM_NOT_QVM), "a process ID that would address many processes");
    }
}

/* A path that ends in "/qvm" if it is cut after `cut` bytes, at a likely buffer end. */
static const char *long_name(size_t cut)
{
    static char name[5000];

    memset(name, 'x', sizeof name);
    name[0] = '/';
    memcpy(name + cut - 4, "/qvm-helper", 12);
    return name;
}

static bool says_exefile(void)
{
    return strstr(message_of(&err), "/env: /proc/4099/exefile: ") != NULL;
}

static void test_executable(void)
{
    static const char *const others[] = {
        "/usr/bin/innocent", "/usr/bin/qvm2", "/opt/qvm/sh", "/usr/bin/myqvm", "", "\n",
        "/usr/bin/sh\nqvm",  "/qvm/"};
    bool never = true;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        fake.server->exefile = others[i];
        check(unsent(QVM_NOT_QVM), "a server that is not called qvm");
    }
    for (size_t cut = 255; cut <= 4097; cut++) {
        fake.server->exefile = long_name(cut);
        never = server() == -1 && err.code == QVM_NOT_QVM && never;
    }
    check(never, "a long path is never cut to one that ends in qvm");
    fake.server->exefile = "qvm";
    check(server() == 4099, "an executable without a directory");
    fake.server->exefile = "/proc/boot/qvm\n";
    check(server() == 4099, "an executable's path with a newline");
    fail_times(FAKE_OPEN_EXEFILE, 1, EACCES);
    check(unsent(QVM_PERMISSION) && says_exefile(),
          "an executable that this user may not inspect");
    fail_times(FAKE_READ_EXEFILE, 1, EIO);
    check(unsent(QVM_IO) && says_exefile(), "an executable that cannot be read");
}

static void test_request(void)
{
    bool sent = request(VM_REQUEST_STATUS);

    check(sent && fake.server->signals == 1 && fake.server->last_signal == SIGUSR1,
          "status is SIGUSR1, once, to the server");
    sent = request(VM_REQUEST_DUMP);
    check(sent && fake.server->signals == 1 && fake.server->last_signal == SIGUSR2,
          "dump is SIGUSR2, once, to the server");
    fail_times(FAKE_KILL, 1, EPERM);
    check(unsent(QVM_PERMISSION), "a process that this user may not signal");
    fail_times(FAKE_KILL, 1, ESRCH);
    check(unsent(QVM_GONE), "a process that ended right before the signal");
}

/* The server ends, and its ID is reused by a process that a signal would kill. */
static void reuse(void)
{
    fake.processes[0].alive = false;
    fake.processes[1].pid = fake.processes[0].pid;
}

static void reuse_before_check(enum fake_call call, int count)
{
    if (call == FAKE_OPEN_EXEFILE && count == 1)
        reuse();
}

static void end_before_check(enum fake_call call, int count)
{
    if (call == FAKE_OPEN_EXEFILE && count == 1)
        fake.processes[0].alive = false;
}

static void reuse_by_qvm_before_check(enum fake_call call, int count)
{
    if (call == FAKE_OPEN_EXEFILE && count == 1) {
        reuse();
        fake.processes[1].exefile = "/proc/boot/qvm";
    }
}

static void reuse_after_check(enum fake_call call, int count)
{
    if (call == FAKE_ASK && count == 2)
        reuse();
}

static void change_server(enum fake_call call, int count)
{
    if (call == FAKE_ASK && count == 2) {
        fake.processes[2] =
            (struct fake_process){.pid = 12307, .exefile = "/proc/boot/qvm", .alive = true};
        fake.connections[0].server = &fake.processes[2];
    }
}

static void change_node(enum fake_call call, int count)
{
    if (call == FAKE_ASK && count == 2)
        fake.node = 5;
}

static bool no_thread(int64_t tid, enum qvm_code code)
{
    struct vm_thread thread;

    return vm_thread_read(ENV, tid, soon(), &thread, &err) == -1 && err.code == code;
}

static void reuse_before_devctl(enum fake_call call, int count)
{
    if (call == FAKE_OPEN_CTL && count == 1) {
        reuse();
        fake.processes[1].threads = 3;
    }
}

static void test_thread(void)
{
    static const int64_t others[] = {0, -1, 2, 7, INT64_MAX, (INT64_C(1) << 32) + 3};
    struct vm_thread thread;

    check(vm_thread_read(ENV, 3, soon(), &thread, &err) == 0 &&
              thread.cpu_time == FAKE_CPU_TIME(3) && thread.priority == FAKE_PRIORITY(3) &&
              strcmp(thread.state, "ready") == 0 &&
              strcmp(thread.name, "virtual cpu 3") == 0,
          "a thread's time, priority, state and name");
    check(vm_thread_read(ENV, 5, soon(), &thread, &err) == 0 &&
              strcmp(thread.state, "state 200") == 0,
          "a state that is not in the table");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check(no_thread(others[i], QVM_NOT_FOUND) &&
                  strstr(message_of(&err), "process 4099 has no thread") != NULL,
              "the next thread is not mistaken for one that does not exist");
    fail_times(FAKE_OPEN_CTL, 1, EACCES);
    check(no_thread(3, QVM_PERMISSION), "a process that this user may not look at");
    fail_times(FAKE_DEVCTL, 1, EIO);
    check(no_thread(3, QVM_IO), "a status that cannot be read");
    fake.server->stuck = true;
    check(no_thread(3, QVM_TIMEOUT), "a thread of a stuck server");
    fake.server->exefile = "/usr/bin/innocent";
    check(no_thread(3, QVM_NOT_QVM), "a thread of a server that is not called qvm");
    fake.before = reuse_before_devctl;
    check(no_thread(3, QVM_GONE), "a thread of another process that got the server's ID");
}

static void reuse_before_kill(enum fake_call call, int count)
{
    if (call == FAKE_KILL && count == 1)
        reuse();
}

static void test_races(void)
{
    fake.before = end_before_check;
    check(unsent(QVM_GONE), "a server that ends before its executable is checked");
    fake.before = reuse_before_check;
    check(unsent(QVM_NOT_QVM), "one whose ID is reused before that");
    fake.before = reuse_by_qvm_before_check;
    check(unsent(QVM_GONE), "one whose ID is reused by another qvm before that");
    fake.before = reuse_after_check;
    check(unsent(QVM_GONE), "one whose ID is reused after that");
    fake.before = change_server;
    check(unsent(QVM_GONE), "a connection that has another server at the second query");
    fake.before = change_node;
    check(unsent(QVM_NOT_QVM), "a server that is on another node at the second query");
    fake.before = reuse_before_kill;
    check_known(unsent(QVM_GONE), "one whose ID is reused right before the signal",
                "no documented call closes this gap (docs/qnx.md)");
}

static void test_rest(void)
{
    struct dir_watch *watch = dir_watch_open("/", &err);
    const char *name = NULL;
    int64_t start = os_clock_ms();
    bool hole = true;

    check(watch && !dir_watch_sees_close(watch), "the watch does not claim to see closing");
    check(dir_watch_wait(watch, 10, &name) == DIR_WATCH_CHANGED &&
              os_clock_ms() - start < 1000,
          "waiting ends with a check of the directory");
    check(dir_watch_wait(watch, 0, &name) == DIR_WATCH_NOTHING,
          "no time to wait: nothing has happened");
    dir_watch_close(watch);
    check(!dir_watch_open("/proc/self/status", &err) && err.code == QVM_NOT_FOUND,
          "a watch needs a directory");
    check(os_file_extent(3, 5, 77, &hole) == 77 && !hole, "no holes: everything is data");
    check(os_processors() == 4, "the number of processors comes from the system page");
}

int main(void)
{
    fake_reset();
    printf("# on a fake of QNX's calls, not on QNX\n");
    test_reading();
    test_stuck();
    test_interrupted();
    test_server();
    test_executable();
    test_request();
    test_races();
    test_thread();
    test_rest();
    printf("1..%d\n", tests);
    return failed != 0;
}
