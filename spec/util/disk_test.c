/* Free space; files that are removed only if their names still refer to them; directories
 * that are removed with their files, but with nothing that a link leads to. */
#include "util/disk.h"

#include "scratch.h"

static struct qvm_error err;

static bool fails(int status, enum qvm_code code)
{
    char text[QVM_MESSAGE_SIZE];

    return status == -1 && err.code == code && qvm_error_text(&err, text, sizeof text) > 0;
}

static void knows_free_space(void)
{
    uint64_t bytes = 0;

    CHECK(disk_free(".", &bytes, &err) == 0 && bytes > 0 && bytes <= INT64_MAX);
    CHECK(fails(disk_free("absent", &bytes, &err), QVM_NOT_FOUND));
    if (access("/proc/self", F_OK) == 0)
        CHECK(fails(disk_free("/proc", &bytes, &err), QVM_UNSUPPORTED));
}

static int opened(const char *path)
{
    int fd = open(path, O_RDONLY);

    CHECK(fd >= 0);
    return fd;
}

static void removes_an_open_file(void)
{
    int fd;

    scratch_put("file", "1", 0600);
    fd = opened("file");
    CHECK(mkdir("directory", 0700) == 0 && symlink("..", "directory/up") == 0);
    CHECK(remove_open_file("directory/up/file", fd, &err) == 0 &&
          access("file", F_OK) != 0);
    CHECK(fails(remove_open_file("file", fd, &err), QVM_NOT_FOUND));
    CHECK(fails(remove_open_file("absent/file", fd, &err), QVM_NOT_FOUND));
    CHECK(close(fd) == 0 && fails(remove_open_file("file", fd, &err), QVM_IO));
    CHECK(unlink("directory/up") == 0 && rmdir("directory") == 0 &&
          scratch_count(".") == 0);
}

static void removes_nothing_else(void)
{
    int fd, directory;

    scratch_put("file", "1", 0600);
    scratch_put("other", "2", 0600);
    fd = opened("file");
    CHECK(symlink("file", "link") == 0 && mkdir("directory", 0700) == 0);
    directory = opened("directory");
    CHECK(fails(remove_open_file("other", fd, &err), QVM_BUSY));
    CHECK(fails(remove_open_file("link", fd, &err), QVM_BUSY));
    CHECK(fails(remove_open_file("directory", fd, &err), QVM_BUSY));
    CHECK(fails(remove_open_file("directory", directory, &err), QVM_BUSY));
    CHECK(rename("other", "file") == 0);
    CHECK(fails(remove_open_file("file", fd, &err), QVM_BUSY));
    CHECK(scratch_holds("file", "2", 1) && scratch_count(".") == 3);
    CHECK(unlink("file") == 0 && unlink("link") == 0 && rmdir("directory") == 0);
    CHECK(close(fd) == 0 && close(directory) == 0);
}

static void removes_a_directory(void)
{
    char name[32];

    CHECK(mkdir("directory", 0700) == 0 && mkdir("victim", 0700) == 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "directory/%u", i);
        scratch_put(name, "1", 0600);
    }
    scratch_put("victim/file", "1", 0600);
    CHECK(symlink("../victim", "directory/link") == 0 &&
          symlink("../victim/file", "directory/other") == 0);
    CHECK(mkfifo("directory/fifo", 0600) == 0);
    CHECK(remove_directory("directory/", NULL, &err) == 0);
    CHECK(access("directory", F_OK) != 0 && scratch_count("victim") == 1);
    CHECK(fails(remove_directory("directory", NULL, &err), QVM_NOT_FOUND));
    CHECK(unlink("victim/file") == 0 && rmdir("victim") == 0);
}

static void removes_no_other_directory(void)
{
    CHECK(mkdir("directory", 0700) == 0 && mkdir("directory/below", 0700) == 0);
    scratch_put("directory/below/file", "1", 0600);
    scratch_put("directory/first", "1", 0600);
    CHECK(symlink("directory", "link") == 0);
    CHECK(remove_directory("link", NULL, &err) == -1 &&
          remove_directory("directory/first", NULL, &err) == -1);
    CHECK(scratch_count("directory") == 2);
    CHECK(remove_directory("directory", "first", &err) == -1);
    CHECK(scratch_count("directory") == 1 && scratch_count("directory/below") == 1);
    if (geteuid() == 0) {
        CHECK(chown("directory", 1, 1) == 0);
        CHECK(fails(remove_directory("directory", NULL, &err), QVM_PERMISSION));
        CHECK(fails(check_safe_directory("directory", &err), QVM_PERMISSION));
        CHECK(chown("directory", 0, 0) == 0);
    }
    CHECK(unlink("directory/below/file") == 0 && rmdir("directory/below") == 0);
    CHECK(rmdir("directory") == 0 && unlink("link") == 0);
}

static void knows_safe_directories(void)
{
    CHECK(mkdir("directory", 0700) == 0 && check_safe_directory("directory", &err) == 0);
    for (unsigned i = 0; i < 3; i++) {
        static const mode_t modes[] = {01777, 0720, 0702};

        CHECK(chmod("directory", modes[i]) == 0);
        CHECK(fails(check_safe_directory("directory", &err), QVM_PERMISSION));
    }
    CHECK(rmdir("directory") == 0);
    CHECK(fails(check_safe_directory("directory", &err), QVM_NOT_FOUND));
}

int main(void)
{
    scratch_enter();
    TEST(knows_free_space);
    TEST(removes_an_open_file);
    TEST(removes_nothing_else);
    TEST(removes_a_directory);
    TEST(removes_no_other_directory);
    TEST(knows_safe_directories);
    scratch_leave();
    return test_report();
}
