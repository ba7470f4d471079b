/* Checks the page cache against the bytes of a made-up file, and counts what it reads from
 * the file. */
#include "dump/page_cache.h"

#include "check.h"

#include <string.h>

enum { FILE_SIZE = 40 * CACHE_PAGE + 100, PLACES = 16 };

/* A file that can be cut, and fail. */
struct file {
    uint64_t size;
    unsigned reads;
    uint64_t bytes;
    enum qvm_code failure; /* of a file that is cut */
};

static struct file file;
static struct page_cache cache;
static struct qvm_error err;

static unsigned char byte_at(uint64_t offset)
{
    return (unsigned char)(offset * 31 + offset / CACHE_PAGE * 7);
}

static int read_file(const void *context, uint64_t offset, void *to, size_t n,
                     struct qvm_error *error)
{
    struct file *from = &file;
    unsigned char *out = to;

    (void)context;
    from->reads++;
    from->bytes += n;
    if (offset > from->size || n > from->size - offset)
        return qvm_fail(error, from->failure, "cut");
    for (size_t i = 0; i < n; i++)
        out[i] = byte_at(offset + i);
    return 0;
}

static void begin(size_t places)
{
    file = (struct file){.size = FILE_SIZE, .failure = QVM_TRUNCATED};
    page_cache_init(&cache, places);
}

static int get(uint64_t offset, size_t n)
{
    unsigned char bytes[CACHE_PAGE];

    memset(bytes, 0xee, sizeof bytes);
    if (page_cache_read(&cache, read_file, &file, FILE_SIZE, offset, bytes, n, &err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!CHECK(bytes[i] == byte_at(offset + i)))
            break;
    return 0;
}

static void reads_what_the_file_has(void)
{
    begin(PLACES);
    for (check_case = 1; check_case <= 20000; check_case++) {
        size_t n = (size_t)check_random(check_random(2) ? 16 : CACHE_PAGE + 1);
        uint64_t offset = check_random(FILE_SIZE - n + 1);

        CHECK(get(offset, n) == 0);
    }
    CHECK(get(FILE_SIZE - 1, 1) == 0 && get(FILE_SIZE, 0) == 0);
    page_cache_free(&cache);
}

static void reads_a_page_once(void)
{
    begin(PLACES);
    for (unsigned i = 0; i < 100; i++)
        CHECK(get(5 * CACHE_PAGE + i * 8, 8) == 0);
    CHECK(file.reads == 1 && file.bytes == CACHE_PAGE);
    /* Over two pages, of which one is there. */
    CHECK(get(6 * CACHE_PAGE - 4, 8) == 0 && file.reads == 2);
    /* A page in the same place takes it. */
    CHECK(get((5 + PLACES) * CACHE_PAGE, 8) == 0 && file.reads == 3);
    CHECK(get(5 * CACHE_PAGE, 8) == 0 && file.reads == 4);
    page_cache_free(&cache);
}

static void reads_ahead_when_reads_ascend(void)
{
    begin(64);
    for (uint64_t at = 0; at + 8 <= FILE_SIZE; at += 8)
        CHECK(get(at, 8) == 0);
    /* 1, 2, 4 ... pages at a time, each once. */
    CHECK(file.reads <= 8 && file.bytes == FILE_SIZE);
    page_cache_free(&cache);
    begin(64);
    for (uint64_t page = 40; page > 0; page--)
        CHECK(get((page - 1) * CACHE_PAGE, 8) == 0);
    CHECK(file.reads == 40 && file.bytes == 40 * CACHE_PAGE);
    page_cache_free(&cache);
}

static void is_no_larger_than_the_file(void)
{
    begin(CACHE_PAGES * 2);
    CHECK(get(0, 1) == 0 && cache.places == 64);
    page_cache_free(&cache);
}

/* Of a page that the file has lost in part, the rest can be read, but is not kept. */
static void reads_the_rest_of_a_file_that_was_cut(void)
{
    begin(PLACES);
    CHECK(get(0, 8) == 0);
    file.size = 3 * CACHE_PAGE + 50;
    CHECK(get(0, 8) == 0 && file.reads == 1);
    CHECK(get(3 * CACHE_PAGE, 50) == 0);
    CHECK(get(3 * CACHE_PAGE, 51) == -1 && err.code == QVM_TRUNCATED);
    CHECK(get(3 * CACHE_PAGE + 42, 8) == 0);
    CHECK(get(2 * CACHE_PAGE, 8) == 0);
    file.failure = QVM_INCOMPLETE; /* passed on: the caller calls once more */
    CHECK(get(4 * CACHE_PAGE, 8) == -1 && err.code == QVM_INCOMPLETE);
    file.size = FILE_SIZE;
    CHECK(get(4 * CACHE_PAGE, 8) == 0);
    page_cache_free(&cache);
}

int main(void)
{
    TEST(reads_what_the_file_has);
    TEST(reads_a_page_once);
    TEST(reads_ahead_when_reads_ascend);
    TEST(is_no_larger_than_the_file);
    TEST(reads_the_rest_of_a_file_that_was_cut);
    return test_report();
}
