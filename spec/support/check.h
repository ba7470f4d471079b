/* Assertions for the unit tests of the C core, and random numbers from a fixed seed. A test
 * is a function. A failed check is printed, and the test continues. The last line of the
 * output has the form of busted's summary, so that spec/run.sh can sum them up.
 *
 *     static void adds(void)
 *     {
 *         CHECK(1 + 1 == 2);
 *     }
 *
 *     int main(void)
 *     {
 *         TEST(adds);
 *         return test_report();
 *     }
 */
#ifndef QVM_CHECK_H
#define QVM_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition)
#define TEST(function)   test_run(function, #function)

static unsigned long check_count, check_failed; /* in the current test */
static unsigned tests_passed, tests_failed;

/* Number of the current random case, for the message; 0 if the test has no cases. */
static unsigned long check_case;

/* Returns the condition, so that a test can stop after a fatal failure. */
static inline bool check_that(bool holds, const char *file, int line, const char *what)
{
    enum { SHOWN = 10 };

    check_count++;
    if (!holds && check_failed++ < SHOWN)
        printf("%s:%d: case %lu: failed: %s\n", file, line, check_case, what);
    return holds;
}

/* A test without checks also fails. */
static inline void test_run(void (*test)(void), const char *name)
{
    check_count = check_failed = check_case = 0;
    test();
    if (check_failed == 0 && check_count > 0) {
        tests_passed++;
        return;
    }
    tests_failed++;
    printf("%s: %lu of %lu checks failed\n", name, check_failed, check_count);
}

/* Prints the summary and returns the exit status. */
static inline int test_report(void)
{
    printf("%u successes / %u failures / 0 errors / 0 pending\n", tests_passed,
           tests_failed);
    return tests_failed > 0 || tests_passed == 0;
}

/* A random number below `limit`, from splitmix64: every machine tests the same cases. */
static inline uint64_t check_random(uint64_t limit)
{
    static uint64_t state = 1;
    uint64_t z = state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % limit;
}

#endif
