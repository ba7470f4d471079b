/* A scratch directory for unit tests that need files. It becomes the current directory, so
 * that tests can use short relative names. */
#ifndef QVM_SCRATCH_H
#define QVM_SCRATCH_H

#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_path[] = "/tmp/qvm-unit-XXXXXX";

static inline void scratch_enter(void)
{
    if (!mkdtemp(scratch_path) || chdir(scratch_path) != 0) {
        perror(scratch_path);
        exit(2);
    }
}

static inline unsigned scratch_count(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    unsigned count = 0;

    while (dir && (entry = readdir(dir)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return count;
}

static inline void scratch_put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

/* True if the file holds exactly these bytes. */
static inline bool scratch_holds(const char *path, const void *bytes, size_t n)
{
    char *found = malloc(n + 1);
    int fd = open(path, O_RDONLY);
    bool same = found && fd >= 0 && read(fd, found, n + 1) == (ssize_t)n &&
                memcmp(found, bytes, n) == 0;

    if (fd >= 0)
        close(fd);
    free(found);
    return same;
}

static inline mode_t scratch_mode(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 ? status.st_mode & 07777 : 0;
}

/* Leaves the directory and removes it with everything in it. */
static inline void scratch_leave(void)
{
    char command[sizeof scratch_path + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", scratch_path);
    if (chdir("/") != 0 || system(command) != 0)
        fprintf(stderr, "%s: cannot be removed\n", scratch_path);
}

#endif
