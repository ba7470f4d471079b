/* The directories of VMs: which names are system names, and which files are next to an
 * env. */
#include "host/vm_directory.h"

#include "scratch.h"

static struct qvm_error err;

/* Tests all strings of up to 4 of these characters against the rule in the header. */
static void accepts_exactly_the_system_names(void)
{
    static const char letters[] = {'.', '/', '\0', 'a'};

    for (unsigned size = 0; size <= 4; size++)
        for (unsigned n = 0; n < 1u << 2 * size; n++) {
            char name[5] = "";
            bool good = size > 0;

            for (unsigned i = 0; i < size; i++) {
                name[i] = letters[n >> 2 * i & 3];
                good = good && name[i] != '/' && name[i] != '\0';
            }
            good = good && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
            CHECK(vm_directory_is_name(name, size) == good);
        }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names in a list, each followed by a space, in alphabetical order. */
static const char *names_of(struct vm_directory *list)
{
    static char text[1024];
    char names[16][32];
    unsigned count = 0;
    const char *name;

    while (count < 16 && (name = vm_directory_next(list)))
        snprintf(names[count++], sizeof names[0], "%.31s", name);
    CHECK(list->error == 0);
    qsort(names, count, sizeof names[0], by_name);
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(text);

        snprintf(text + length, sizeof text - length, "%s ", names[i]);
    }
    return text;
}

static void make_system(const char *name, const char *env)
{
    char path[64];

    snprintf(path, sizeof path, "root/%s", name);
    CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "root/%s/%s", name, env);
    scratch_put(path, "{}", 0600);
}

static void make_root(void)
{
    CHECK(mkdir("root", 0700) == 0 && mkdir("root/empty", 0700) == 0);
    make_system("linux1", "env");
    make_system("qnx1", "env");
    make_system("other", "environment");
    make_system("dangling", "x");
    CHECK(symlink("nowhere", "root/dangling/env") == 0);
    CHECK(symlink("linux1", "root/alias") == 0 && symlink("loop", "root/loop") == 0);
    scratch_put("root/file", "", 0600);
    scratch_put("root/linux1/vdev-virtio", "", 0600);
    scratch_put("root/linux1/.hidden", "", 0600);
}

static void lists_systems(void)
{
    struct vm_directory list = {0};

    CHECK(vm_directory_open_root(&list, "root", &err) == 0);
    CHECK(strcmp(names_of(&list), "alias linux1 qnx1 ") == 0);
    CHECK(!vm_directory_next(&list));
    vm_directory_close(&list);
    vm_directory_close(&list);
}

static void lists_nodes(void)
{
    struct vm_directory list = {0};

    CHECK(vm_directory_open_nodes(&list, "root/linux1", &err) == 0);
    CHECK(strcmp(names_of(&list), ".hidden vdev-virtio ") == 0);
    vm_directory_close(&list);
    CHECK(vm_directory_open_nodes(&list, "root/empty", &err) == 0);
    CHECK(strcmp(names_of(&list), "") == 0);
    vm_directory_close(&list);
}

static void fails(void)
{
    struct vm_directory list = {0};
    char text[QVM_MESSAGE_SIZE];

    CHECK(vm_directory_open_root(&list, "absent", &err) == -1 && err.code == QVM_NOT_FOUND);
    qvm_error_text(&err, text, sizeof text);
    CHECK(strstr(text, "absent") != NULL);
    CHECK(vm_directory_open_nodes(&list, "root/file", &err) == -1);
    vm_directory_close(&list);
}

int main(void)
{
    TEST(accepts_exactly_the_system_names);
    scratch_enter();
    make_root();
    TEST(lists_systems);
    TEST(lists_nodes);
    TEST(fails);
    scratch_leave();
    return test_report();
}
