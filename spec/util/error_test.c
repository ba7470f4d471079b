/* Failures: what is captured when they happen, and what their messages say afterwards. */
#include "util/error.h"

#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct qvm_error err;

static bool says(const char *expected)
{
    char text[QVM_MESSAGE_SIZE];
    size_t length = qvm_error_text(&err, text, sizeof text);

    return length == strlen(text) && strcmp(text, expected) == 0;
}

static void captures_every_kind_of_argument(void)
{
    CHECK(qvm_fail(&err, QVM_MALFORMED, "no argument") == -1 && says("no argument"));
    CHECK(err.code == QVM_MALFORMED);
    qvm_fail(&err, QVM_IO, "%d %d %u %u", INT_MIN, INT_MAX, 0u, UINT_MAX);
    CHECK(says("-2147483648 2147483647 0 4294967295"));
    qvm_fail(&err, QVM_IO, "%ld, %lu", -1L, 7UL);
    CHECK(says("-1, 7"));
    qvm_fail(&err, QVM_IO, "%" PRId64 " %" PRIu64 " %" PRIx64, INT64_MIN, UINT64_MAX,
             UINT64_MAX);
    CHECK(says("-9223372036854775808 18446744073709551615 ffffffffffffffff"));
    qvm_fail(&err, QVM_IO, "%s: 0x%016" PRIx64 ": %" PRIu32 " of %x.", "path",
             UINT64_C(0x1234), (uint32_t)5, 0xabcu);
    CHECK(says("path: 0x0000000000001234: 5 of abc."));
    qvm_fail(&err, QVM_IO, "%d%s%d%s%d%s%d%s", 1, "a", 2, "b", 3, "c", 4, "d");
    CHECK(says("1a2b3c4d"));
}

static void keeps_what_it_refers_to_until_it_is_read(void)
{
    char path[] = "before";

    qvm_fail(&err, QVM_GONE, "%s", path);
    memcpy(path, "after!", sizeof path);
    CHECK(says("after!"));
}

static void copies_a_string_that_does_not_live(void)
{
    char name[] = "short-lived", longer[QVM_ERROR_COPY_SIZE + 10];

    qvm_fail(&err, QVM_NOT_QVM, "%s: %d is %s", "env", 12, qvm_error_copy(&err, name));
    memset(name, 'x', sizeof name - 1);
    CHECK(says("env: 12 is short-lived"));
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    qvm_fail(&err, QVM_NOT_QVM, "%s", qvm_error_copy(&err, longer));
    longer[QVM_ERROR_COPY_SIZE - 1] = '\0';
    CHECK(says(longer));
}

static void says_what_the_system_says(void)
{
    char expected[300];

    snprintf(expected, sizeof expected, "dir/file: %s", strerror(ENOENT));
    CHECK(qvm_fail_system(&err, ENOENT, "%s/%s", "dir", "file") == -1);
    CHECK(err.code == QVM_NOT_FOUND && says(expected));
    snprintf(expected, sizeof expected, "dir: %s", strerror(EACCES));
    CHECK(qvm_fail_errno(&err, EACCES, "dir") == -1);
    CHECK(err.code == QVM_PERMISSION && says(expected));
    qvm_fail(&err, QVM_IO, "nothing of it stays");
    CHECK(says("nothing of it stays"));
    qvm_fail_errno(&err, ENOMEM, "dir");
    CHECK(err.code == QVM_NO_MEMORY && says("dir: not enough memory"));
    qvm_fail_memory(&err, "dir");
    CHECK(err.code == QVM_NO_MEMORY && says("dir: not enough memory"));
}

/* Guard bytes after the room that the message has. */
static void cuts_a_message_to_its_room(void)
{
    enum { ROOM = 40 };
    char text[ROOM + 1];

    for (int i = 0; i < 500; i++) {
        size_t size = 1 + check_random(ROOM);
        size_t length;

        memset(text, 0x5a, sizeof text);
        qvm_fail_system(&err, ENOENT, "%s: %d: 0x%016" PRIx64, "some/path", i,
                        check_random(UINT64_MAX));
        length = qvm_error_text(&err, text, size);
        CHECK(length < size && text[length] == '\0' && text[size] == 0x5a);
        CHECK(strncmp(text, "some/path: ", length < 11 ? length : 11) == 0);
    }
}

static void has_room_for_the_longest_path(void)
{
    char *path = malloc(PATH_MAX), text[QVM_MESSAGE_SIZE];

    if (!CHECK(path != NULL))
        return;
    memset(path, 'p', PATH_MAX - 1);
    path[PATH_MAX - 1] = '\0';
    qvm_fail(&err, QVM_UNMAPPED, "%s: address 0x%016" PRIx64 " is not in the dump", path,
             UINT64_MAX);
    qvm_error_text(&err, text, sizeof text);
    CHECK(strncmp(text, path, PATH_MAX - 1) == 0);
    CHECK(strcmp(text + PATH_MAX - 1, ": address 0xffffffffffffffff is not in the dump") ==
          0);
    free(path);
}

static void is_small(void)
{
    CHECK(sizeof err <= 512);
}

int main(void)
{
    TEST(captures_every_kind_of_argument);
    TEST(keeps_what_it_refers_to_until_it_is_read);
    TEST(copies_a_string_that_does_not_live);
    TEST(says_what_the_system_says);
    TEST(cuts_a_message_to_its_room);
    TEST(has_room_for_the_longest_path);
    TEST(is_small);
    return test_report();
}
