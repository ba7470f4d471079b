/* The machine's own limit: does the same work as the library, without a library, in one
 * thread.
 *
 * bound WORK REPEAT ARGUMENT...
 *
 * Prints "time SECONDS" for each repetition, and "result N" (hexadecimal) to compare with
 * others. The works are in loads.c, scans.c and servers.c. */
#include "bound.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

char **words;

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

int open_file(const char *path)
{
    int fd = open(path, O_RDONLY);

    if (fd < 0)
        fail(path);
    return fd;
}

uint64_t size_of(int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        fail("fstat");
    return (uint64_t)status.st_size;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const struct work *find_work(const char *name)
{
    const struct work *tables[] = {load_works, scan_works, vm_works};

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct work *work = tables[i]; work->name; work++)
            if (strcmp(work->name, name) == 0)
                return work;
    return NULL;
}

int main(int argc, char **argv)
{
    const struct work *work = argc > 3 ? find_work(argv[1]) : NULL;
    uint64_t result = 0;

    if (!work || argc - 3 != work->words) {
        fprintf(stderr, "bound: unknown work\n");
        return 2;
    }
    words = argv + 3;
    if (work->prepare)
        work->prepare();
    for (int left = atoi(argv[2]); left > 0; left--) {
        double start = seconds();

        result = work->run();
        printf("time %.9f\n", seconds() - start);
    }
    printf("result %" PRIx64 "\n", result);
    return 0;
}
