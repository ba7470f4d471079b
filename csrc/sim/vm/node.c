/*
 * Creates, replaces and removes the VM's directory. Two simulators of one name can start
 * and end at the same time: flock() on the directory puts them in order, and after each
 * wait the path is checked again, because the directory may have been removed meanwhile.
 */
#define _GNU_SOURCE
#include "vm/node.h"

#include "util/signals.h"
#include "vm/envfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes errno as a message about a path. Returns -1. */
static int fail(const char *path)
{
    (void)fprintf(stderr, "qvm: %s: %s\n", path, strerror(errno));
    return -1;
}

static void drop(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static bool is_directory(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int node_root(const char *root)
{
    if (mkdir(root, 0755) == 0 || (errno == EEXIST && is_directory(root)))
        return 0;
    (void)fprintf(stderr,
                  "qvm: cannot create %s: %s; set QVM_ROOT to a directory of your own\n",
                  root, errno == EEXIST ? strerror(ENOTDIR) : strerror(errno));
    return -1;
}

int node_init(struct node *node, const struct vm *vm, const char *root)
{
    const struct conf *conf = vm->conf;
    struct text path = {0};

    text_printf(&path, "%s/%s", root, conf->system);
    *node = (struct node){
        .vm = vm, .conf = conf, .path = path.data, .directory = -1, .env = -1};
    return path.failed ? -1 : 0;
}

/* Whether the path still names the open directory. */
static bool is_current(const struct node *node)
{
    struct stat named;
    struct stat open;

    return fstat(node->directory, &open) == 0 && lstat(node->path, &named) == 0 &&
           open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

static int lock(const struct node *node)
{
    while (flock(node->directory, LOCK_EX)) {
        if (errno != EINTR || signals_quit())
            return -1;
    }
    return 0;
}

static void unlock(const struct node *node)
{
    (void)flock(node->directory, LOCK_UN);
}

/* Opens and locks the directory; creates it if it does not exist. Another simulator that
   ends can remove it at any moment before the lock is held: then it starts again. */
static int open_locked(struct node *node)
{
    for (;;) {
        if (mkdir(node->path, 0755) && errno != EEXIST)
            return -1;
        node->directory = open(node->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (node->directory < 0 && errno == ENOTCONN) {
            if (node_fuse_detach(node->path))
                return -1;
            continue;
        }
        /* ECONNABORTED: another simulator is just about to unmount it. */
        if (node->directory < 0 && errno != ENOENT && errno != ECONNABORTED)
            return -1;
        if (node->directory >= 0) {
            if (lock(node))
                return -1;
            if (is_current(node))
                return 0;
        }
        drop(&node->directory);
    }
}

/* Whether a killed simulator can have left that file. Not env, which its successor
   replaces; and the root may be a directory with other people's files. */
static bool is_left_over(int directory, const char *name)
{
    struct stat status;

    return strcmp(name, ENVFILE_NAME) != 0 &&
           fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && status.st_size == 0;
}

static int remove_left_overs(const struct node *node)
{
    int fd = openat(node->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!list) {
        drop(&fd);
        return -1;
    }
    while ((entry = readdir(list))) {
        if (is_left_over(node->directory, entry->d_name))
            (void)unlinkat(node->directory, entry->d_name, 0);
    }
    (void)closedir(list);
    return 0;
}

static int create_vdev_files(struct node *node)
{
    for (; node->vdev_files < node->conf->vdev_count; node->vdev_files++) {
        const char *name = node->conf->vdevs[node->vdev_files].name;
        if (!name)
            continue;
        int fd =
            openat(node->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            return -1;
        (void)close(fd);
    }
    return 0;
}

static void remove_vdev_files(struct node *node)
{
    while (node->vdev_files > 0) {
        const char *name = node->conf->vdevs[--node->vdev_files].name;
        if (name)
            (void)unlinkat(node->directory, name, 0);
    }
}

/* Fills the locked directory, which nobody serves. */
static int fill(struct node *node, const struct text *env)
{
    if (remove_left_overs(node))
        return -1;
    if (node->conf->served) {
        node->served = node_fuse_start(node->vm, node->path);
        return node->served ? 0 : -1;
    }
    if (create_vdev_files(node))
        return -1;
    node->env = envfile_write(node->directory, env);
    return node->env < 0 ? -1 : 0;
}

/* Undoes a start that failed. Closing the directory releases the lock. */
static void give_up(struct node *node)
{
    if (node->directory < 0)
        return;
    remove_vdev_files(node);
    if (is_current(node))
        (void)rmdir(node->path);
    drop(&node->directory);
}

int node_create(struct node *node, const struct text *env)
{
    pid_t owner = 0;

    if (open_locked(node) || envfile_owner(node->directory, &owner) ||
        (!owner && fill(node, env))) {
        (void)fail(node->path);
        give_up(node);
        return -1;
    }
    if (owner) {
        (void)fprintf(stderr, "qvm: %s is running already, as process %ld\n",
                      node->conf->system, (long)owner);
        drop(&node->directory);
        return -1;
    }
    unlock(node);
    return 0;
}

/* Closes the old env, and so releases its lock, only after the new one has the name. */
static int exchange(struct node *node, int env)
{
    if (env < 0)
        return -1;
    (void)close(node->env);
    node->env = env;
    return 0;
}

int node_replace(struct node *node, const struct text *env)
{
    if (node->served)
        return 0;
    return exchange(node, envfile_write(node->directory, env));
}

void node_unblock(struct node *node)
{
    if (node->served)
        node_fuse_resume(node->served);
}

int node_block(struct node *node, enum node_hang where)
{
    if (node->served) {
        node_fuse_hang(node->served, where);
        return 0;
    }
    if (where != NODE_HANGS_READ) {
        errno = ENOTSUP;
        return -1;
    }
    return exchange(node, envfile_block(node->directory));
}

/* With the lock, so that another simulator that starts does not use the directory that this
   one removes. */
static void stop_serving(struct node *node)
{
    (void)flock(node->directory, LOCK_EX);
    node_fuse_stop(node->served);
    node->served = NULL;
    if (is_current(node))
        (void)rmdir(node->path);
    drop(&node->directory);
}

void node_remove(struct node *node)
{
    if (node->directory < 0)
        return;
    if (node->served) {
        stop_serving(node);
        return;
    }
    /* Only with the lock is it certain whose files these are. */
    bool own =
        flock(node->directory, LOCK_EX) == 0 && envfile_is(node->directory, node->env);
    if (own && unlinkat(node->directory, ENVFILE_NAME, 0) == 0) {
        remove_vdev_files(node);
        if (is_current(node))
            (void)rmdir(node->path);
    }
    node->vdev_files = 0;
    drop(&node->env);
    drop(&node->directory);
}

void node_free(struct node *node)
{
    free(node->path);
    node->path = NULL;
}
