/* A directory that is created, filled, and removed again unless it is kept. */
#include "util/new_directory.h"

#include "scratch.h"

static struct qvm_error err;

static bool put(struct new_directory *made, const char *name, const char *text)
{
    return new_directory_write(made, name, text, strlen(text), &err) == 0;
}

static void is_kept(void)
{
    struct new_directory made;

    CHECK(new_directory_open(&made, "kept", &err) == 0);
    CHECK(put(&made, "a", "first") && put(&made, "b", ""));
    CHECK(!put(&made, "a", "again"));
    new_directory_close(&made, true);
    new_directory_close(&made, false); /* has nothing to do */
    CHECK(scratch_mode("kept") == 0700 && scratch_mode("kept/a") == 0600);
    CHECK(scratch_holds("kept/a", "first", 5) && scratch_holds("kept/b", "", 0));
    CHECK(scratch_count("kept") == 2);
}

static void is_removed(void)
{
    struct new_directory made;

    CHECK(new_directory_open(&made, "gone/", &err) == 0);
    CHECK(put(&made, "a", "text") && put(&made, "b", "text"));
    new_directory_close(&made, false);
    CHECK(access("gone", F_OK) != 0);
}

/* Other processes' files stay, and so does the directory. */
static void keeps_files_of_other_processes(void)
{
    struct new_directory made;

    CHECK(new_directory_open(&made, "shared", &err) == 0 && put(&made, "a", "text"));
    scratch_put("shared/other", "other", 0600);
    new_directory_close(&made, false);
    CHECK(scratch_count("shared") == 1 && scratch_holds("shared/other", "other", 5));
}

static void refuses_taken_names(void)
{
    struct new_directory made;

    CHECK(new_directory_open(&made, "kept", &err) == -1 && err.code == QVM_BUSY);
    CHECK(symlink("nowhere", "link") == 0);
    CHECK(new_directory_open(&made, "link", &err) == -1 && err.code == QVM_BUSY);
    CHECK(new_directory_open(&made, "absent/x", &err) == -1 && err.code == QVM_NOT_FOUND);
    CHECK(new_directory_open(&made, "", &err) == -1);
    CHECK(scratch_holds("kept/a", "first", 5));
}

static void refuses_bad_names(void)
{
    char name[NEW_NAME_SIZE + 1];
    struct new_directory made;

    CHECK(new_directory_open(&made, "names", &err) == 0);
    CHECK(!put(&made, "x/y", "") && !put(&made, "../x", ""));
    memset(name, 'n', sizeof name);
    name[NEW_NAME_SIZE] = '\0';
    CHECK(!put(&made, name, ""));
    for (int i = 0; i < NEW_FILES_MAX; i++) {
        snprintf(name, sizeof name, "file%d", i);
        CHECK(put(&made, name, name));
    }
    CHECK(!put(&made, "more", "") && scratch_count("names") == NEW_FILES_MAX);
    new_directory_close(&made, false);
    CHECK(access("names", F_OK) != 0 && access("x", F_OK) != 0);
}

/* Another directory takes the name: files go into the original one. */
static void stays_with_the_directory_it_created(void)
{
    struct new_directory made;

    CHECK(new_directory_open(&made, "made", &err) == 0 && put(&made, "a", "1"));
    CHECK(rename("made", "moved") == 0 && mkdir("made", 0700) == 0);
    CHECK(put(&made, "b", "2"));
    CHECK(scratch_count("made") == 0 && scratch_count("moved") == 2);
    new_directory_close(&made, true);
}

int main(void)
{
    scratch_enter();
    TEST(is_kept);
    TEST(is_removed);
    TEST(keeps_files_of_other_processes);
    TEST(refuses_taken_names);
    TEST(refuses_bad_names);
    TEST(stays_with_the_directory_it_created);
    scratch_leave();
    return test_report();
}
