/*
 * Replaces the file env. The new file is created beside the directory, filled and locked
 * before it is renamed to env, so readers see one complete document or the other, and
 * always a lock.
 */
#define _GNU_SOURCE
#include "vm/envfile.h"

#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name of a new file before it becomes env: outside the system's directory, in which
   only env and vdevs may be visible. */
#define TEMPORARY "../.env."

struct temporary {
    char name[sizeof TEMPORARY + 20];
};

static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static int find_owner(int fd, pid_t *owner)
{
    struct flock lock = whole_file();
    struct stat status;

    if (fstat(fd, &status))
        return -1;
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    if (fcntl(fd, F_GETLK, &lock))
        return -1;
    *owner = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
    return 0;
}

int envfile_owner(int directory, pid_t *owner)
{
    /* Non-blocking: it may be the FIFO of a simulated hang. */
    int fd =
        openat(directory, ENVFILE_NAME, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

    *owner = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int result = find_owner(fd, owner);
    int error = errno;
    (void)close(fd);
    errno = error;
    return result;
}

static struct temporary temporary_name(void)
{
    struct temporary temporary;

    (void)snprintf(temporary.name, sizeof temporary.name, TEMPORARY "%ld", (long)getpid());
    return temporary;
}

/* Locks the new file and renames it to env, unless `filled` says that writing it failed.
   Returns `fd`, or -1 after removing the file. */
static int publish(int directory, const char *name, int fd, bool filled)
{
    struct flock lock = whole_file();

    if (fd >= 0 && filled && fcntl(fd, F_SETLK, &lock) == 0 &&
        renameat(directory, name, directory, ENVFILE_NAME) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    (void)unlinkat(directory, name, 0);
    errno = error;
    return -1;
}

int envfile_write(int directory, const struct text *text)
{
    struct temporary new = temporary_name();

    if (text->failed) {
        errno = ENOMEM;
        return -1;
    }
    int fd = openat(directory, new.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool filled = fd >= 0 && file_write(fd, text->data, text->length) == 0;
    return publish(directory, new.name, fd, filled);
}

int envfile_block(int directory)
{
    struct temporary new = temporary_name();

    if (mkfifoat(directory, new.name, 0644))
        return -1;
    /* With a writer that never writes, readers can open it and then block. */
    int fd = openat(directory, new.name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return publish(directory, new.name, fd, true);
}

bool envfile_is(int directory, int fd)
{
    struct stat named;
    struct stat open;

    return fstat(fd, &open) == 0 &&
           fstatat(directory, ENVFILE_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}
