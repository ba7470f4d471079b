/* Opening regular files, and replacing a file so that its readers see either the complete
 * old or the complete new content, whatever happens. */
#include "util/file_io.h"

#include "scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { OLD_SIZE = 3000, NEW_SIZE = 70000, ROUNDS = 200 };

static char old_bytes[OLD_SIZE], new_bytes[NEW_SIZE];
static struct save_paths followed;
static struct qvm_error err;

static bool save(const char *path, const char *text)
{
    return save_file(path, text, strlen(text), false, &followed, &err) == 0;
}

static bool fails(int status, enum qvm_code code)
{
    char text[QVM_MESSAGE_SIZE];

    return status == -1 && err.code == code && qvm_error_text(&err, text, sizeof text) > 0;
}

static void opens_regular_files_only(void)
{
    uint64_t size = 0;
    int fd;

    scratch_put("file", "12345", 0600);
    fd = regular_open("file", &size, &err);
    CHECK(fd >= 0 && size == 5 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    CHECK(mkfifo("fifo", 0600) == 0 && symlink("file", "link") == 0);
    CHECK(fails(regular_open("fifo", &size, &err), QVM_UNSUPPORTED));
    CHECK(fails(regular_open(".", &size, &err), QVM_UNSUPPORTED));
    CHECK(fails(regular_open("absent", &size, &err), QVM_NOT_FOUND));
    fd = regular_open("link", &size, &err);
    CHECK(fd >= 0);
    close(fd);
    CHECK(fails(regular_open_checked("link", &size, &err), QVM_UNSUPPORTED));
    fd = regular_open_checked("file", &size, &err);
    CHECK(fd >= 0);
    close(fd);
    CHECK(unlink("fifo") == 0 && unlink("link") == 0 && unlink("file") == 0);
}

static void keeps_modes(void)
{
    mode_t mask = umask(027);

    CHECK(save("plain", "a") && scratch_mode("plain") == 0640);
    CHECK(save_file("private", "b", 1, true, &followed, &err) == 0 &&
          scratch_mode("private") == 0600);
    scratch_put("kept", "old", 0604);
    CHECK(save_file("kept", "new", 3, true, &followed, &err) == 0 &&
          scratch_mode("kept") == 0604);
    CHECK(scratch_holds("plain", "a", 1) && scratch_holds("private", "b", 1) &&
          scratch_holds("kept", "new", 3));
    CHECK(save("plain", "") && scratch_holds("plain", "", 0));
    CHECK(scratch_count(".") == 3);
    umask(mask);
    CHECK(unlink("plain") == 0 && unlink("private") == 0 && unlink("kept") == 0);
}

static bool is_whole(const char *bytes, ssize_t n)
{
    return (n == OLD_SIZE && memcmp(bytes, old_bytes, OLD_SIZE) == 0) ||
           (n == NEW_SIZE && memcmp(bytes, new_bytes, NEW_SIZE) == 0);
}

/* Reads the file repeatedly until there is a file "stop"; exits with 0 if it always had
 * one of the two contents. */
static pid_t start_reader(void)
{
    static char bytes[NEW_SIZE + 1];
    pid_t pid = fork();
    bool whole = true;

    if (pid != 0)
        return pid;
    while (whole && access("stop", F_OK) != 0) {
        int fd = open("file", O_RDONLY);

        whole = fd >= 0 && is_whole(bytes, read(fd, bytes, sizeof bytes));
        close(fd);
    }
    _exit(!whole);
}

static void never_shows_readers_a_partial_file(void)
{
    int status = -1;
    pid_t reader;

    CHECK(save_file("file", old_bytes, OLD_SIZE, false, &followed, &err) == 0);
    reader = start_reader();
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(save_file("file", new_bytes, NEW_SIZE, false, &followed, &err) == 0);
        CHECK(save_file("file", old_bytes, OLD_SIZE, false, &followed, &err) == 0);
    }
    scratch_put("stop", "", 0600);
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
    CHECK(unlink("stop") == 0 && scratch_count(".") == 1 && unlink("file") == 0);
}

/* Makes the disk appear full after 10 bytes. */
static void keeps_the_old_file_if_writing_fails(void)
{
    struct rlimit before, small;

    signal(SIGXFSZ, SIG_IGN);
    CHECK(save_file("file", old_bytes, OLD_SIZE, false, &followed, &err) == 0);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 10;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(save_file("file", new_bytes, NEW_SIZE, false, &followed, &err) == -1);
    CHECK(save_file("other", new_bytes, NEW_SIZE, false, &followed, &err) == -1);
    CHECK(save_new(AT_FDCWD, "other", new_bytes, NEW_SIZE, false) == EFBIG);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(scratch_holds("file", old_bytes, OLD_SIZE) && scratch_count(".") == 1);
    CHECK(unlink("file") == 0);
}

static void follows_links(void)
{
    CHECK(mkdir("dir", 0700) == 0 && symlink("dir/target", "link") == 0);
    CHECK(save("link", "first") && scratch_holds("dir/target", "first", 5));
    CHECK(save("link", "second") && scratch_holds("dir/target", "second", 6));
    CHECK(S_ISLNK(scratch_mode("link") | S_IFLNK) &&
          readlink("link", (char[8]){0}, 8) == 8);
    CHECK(symlink("loop", "loop") == 0);
    CHECK(!save("loop", "x"));
    CHECK(scratch_count(".") == 3 && scratch_count("dir") == 1);
    CHECK(unlink("link") == 0 && unlink("loop") == 0 && unlink("dir/target") == 0);
}

static void writes_through_fifos_and_devices(void)
{
    char got[8] = "";
    int fd;

    CHECK(fails(save_file("dir", "x", 1, false, &followed, &err), QVM_UNSUPPORTED));
    CHECK(!save("dir/", "x") && !save("absent/file", "x") && err.code == QVM_NOT_FOUND);
    CHECK(mkfifo("fifo", 0600) == 0);
    CHECK(fails(save_file("fifo", "x", 1, false, &followed, &err), QVM_BUSY));
    fd = open("fifo", O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0 && save("fifo", "text") && read(fd, got, sizeof got) == 4);
    CHECK(memcmp(got, "text", 4) == 0 && close(fd) == 0 && unlink("fifo") == 0);
    CHECK(save("/dev/null", "x") && rmdir("dir") == 0);
}

static void makes_new_files(void)
{
    CHECK(save_new(AT_FDCWD, "file", "one", 3, true) == 0);
    CHECK(scratch_mode("file") == 0600);
    CHECK(save_new(AT_FDCWD, "file", "two", 3, true) == EEXIST);
    CHECK(symlink("nowhere", "link") == 0);
    CHECK(save_new(AT_FDCWD, "link", "two", 3, true) == EEXIST);
    CHECK(scratch_holds("file", "one", 3) && scratch_count(".") == 2);
    CHECK(unlink("file") == 0 && unlink("link") == 0);
}

/* A temporary file that another process left under the name this one would use first. */
static void skips_leftover_temporary_files(void)
{
    char name[64];

    snprintf(name, sizeof name, "file.new-%ld-0", (long)getpid());
    scratch_put(name, "left", 0600);
    CHECK(save("file", "text") && scratch_holds("file", "text", 4));
    CHECK(scratch_holds(name, "left", 4) && scratch_count(".") == 2);
    CHECK(unlink(name) == 0 && unlink("file") == 0);
}

int main(void)
{
    memset(old_bytes, 'o', OLD_SIZE);
    memset(new_bytes, 'n', NEW_SIZE);
    scratch_enter();
    TEST(opens_regular_files_only);
    TEST(keeps_modes);
    TEST(never_shows_readers_a_partial_file);
    TEST(keeps_the_old_file_if_writing_fails);
    TEST(follows_links);
    TEST(writes_through_fifos_and_devices);
    TEST(makes_new_files);
    TEST(skips_leftover_temporary_files);
    scratch_leave();
    return test_report();
}
