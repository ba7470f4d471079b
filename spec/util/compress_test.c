/* Files that gzip compresses: what goes in comes out again, and no name is followed. */
#include "util/compress.h"

#include "scratch.h"

static struct qvm_error err;

static int compress(const char *from, const char *to)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC), status;

    CHECK(fd >= 0 && lseek(fd, 1, SEEK_SET) == 1);
    CHECK(unlink(from) == 0); /* the name is not needed */
    status = compress_file(fd, from, to, &err);
    CHECK(close(fd) == 0);
    return status;
}

static void compresses_an_open_file(void)
{
    scratch_put("file", "some text", 0600);
    CHECK(compress("file", "file.gz") == 0 && scratch_mode("file.gz") == 0600);
    CHECK(system("gzip -d file.gz") == 0 && scratch_holds("file", "some text", 9));
    CHECK(unlink("file") == 0);
}

static void replaces_nothing(void)
{
    scratch_put("taken", "1", 0600);
    scratch_put("file", "1", 0600);
    CHECK(compress("file", "taken") == -1 && err.code == QVM_BUSY);
    scratch_put("file", "1", 0600);
    CHECK(symlink("absent", "link") == 0);
    CHECK(compress("file", "link") == -1 && err.code == QVM_BUSY);
    CHECK(scratch_holds("taken", "1", 1) && scratch_count(".") == 2);
    CHECK(unlink("taken") == 0 && unlink("link") == 0);
}

static void leaves_nothing_without_gzip(void)
{
    const char *commands = getenv("PATH");
    char path[4096];

    CHECK(commands && snprintf(path, sizeof path, "%s", commands) < (int)sizeof path);
    CHECK(setenv("PATH", "/absent", 1) == 0);
    scratch_put("file", "1", 0600);
    CHECK(compress("file", "file.gz") == -1 && err.code == QVM_IO);
    CHECK(scratch_count(".") == 0 && setenv("PATH", path, 1) == 0);
}

int main(void)
{
    scratch_enter();
    TEST(compresses_an_open_file);
    TEST(replaces_nothing);
    TEST(leaves_nothing_without_gzip);
    scratch_leave();
    return test_report();
}
