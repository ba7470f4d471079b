/*
 * Serves the VM's directory with libfuse3: mounts it, and passes the kernel's requests to
 * fuse_requests.c, in one thread.
 *
 * As with files, this process holds a record lock on env, through a descriptor of its own.
 * The kernel keeps the lock and answers F_GETLK without asking this process, as QNX's
 * kernel answers ConnectServerInfo(). Env becomes visible to others once it is locked.
 *
 * If this process is killed, its directory stays mounted but dead: every access fails with
 * ENOTCONN until someone unmounts it.
 */
#define _GNU_SOURCE
#include "vm/node_fuse.h"

#include "util/signals.h"
#include "vm/envfile.h"
#include "vm/fuse_requests.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct node_fuse {
    struct fuse_requests requests;
    struct fuse_session *session;
    int env;     /* this process's descriptor, which holds the lock */
    int stop[2]; /* a pipe: the thread ends when its second end is closed */
    pthread_t thread;
};

const char *node_fuse_lacks(void)
{
    return NULL;
}

/* The thread -------------------------------------------------------------------------- */

static void *run(void *argument)
{
    struct node_fuse *served = argument;
    struct pollfd ready[] = {
        {.fd = fuse_session_fd(served->session), .events = POLLIN},
        {.fd = served->stop[0], .events = POLLIN},
    };
    struct fuse_buf buffer = {0};

    (void)pthread_setname_np(pthread_self(), "env");
    while (!fuse_session_exited(served->session)) {
        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[1].revents)
            break;
        int length = fuse_session_receive_buf(served->session, &buffer);
        if (length > 0)
            fuse_session_process_buf(served->session, &buffer);
        else if (length != -EINTR)
            break; /* unmounted by someone else */
    }
    free(buffer.mem);
    return NULL;
}

/* Only the main thread receives signals. */
static int start_thread(struct node_fuse *served)
{
    sigset_t all;
    sigset_t before;

    if (pipe2(served->stop, O_CLOEXEC))
        return -1;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&served->thread, NULL, run, served);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        return 0;
    (void)close(served->stop[0]);
    (void)close(served->stop[1]);
    errno = error;
    return -1;
}

static void end_thread(struct node_fuse *served)
{
    (void)close(served->stop[1]);
    (void)pthread_join(served->thread, NULL);
    (void)close(served->stop[0]);
}

/* Start and end ----------------------------------------------------------------------- */

/* Users other than the server's own may look at what root serves, with the rights that the
   files' modes give them. */
static struct fuse_session *mount_session(struct fuse_requests *requests, const char *path)
{
    char *shared[] = {"qvm",
                      "-osubtype=qvm,fsname=simulator,default_permissions,allow_other"};
    char *own[] = {"qvm", "-osubtype=qvm,fsname=simulator,default_permissions"};
    struct fuse_args arguments = FUSE_ARGS_INIT(2, geteuid() == 0 ? shared : own);
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (device < 0) {
        (void)fprintf(stderr, "qvm: set sim-env fuse: /dev/fuse: %s\n", strerror(errno));
        return NULL;
    }
    (void)close(device);
    struct fuse_session *session = fuse_session_new(&arguments, &fuse_requests_ops,
                                                    sizeof fuse_requests_ops, requests);
    fuse_opt_free_args(&arguments);
    if (!session) {
        errno = ENOMEM;
        return NULL;
    }
    if (fuse_session_mount(session, path) == 0)
        return session;
    fuse_session_destroy(session); /* it has said why on stderr */
    errno = EIO;
    return NULL;
}

static void publish(struct node_fuse *served, bool published)
{
    (void)pthread_mutex_lock(&served->requests.lock);
    served->requests.published = published;
    (void)pthread_mutex_unlock(&served->requests.lock);
}

/* Opens and locks env, which the thread serves by now. */
static int lock_env(struct node_fuse *served, const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        return -1;
    served->env = openat(directory, ENVFILE_NAME, O_RDWR | O_CLOEXEC);
    int error = errno;
    (void)close(directory);
    if (served->env >= 0 && fcntl(served->env, F_SETLK, &whole) == 0) {
        publish(served, true);
        return 0;
    }
    errno = served->env >= 0 ? errno : error;
    return -1;
}

static void unmount_session(struct node_fuse *served)
{
    fuse_session_unmount(served->session);
    fuse_session_destroy(served->session);
    fuse_requests_free(&served->requests);
    free(served);
}

struct node_fuse *node_fuse_start(const struct vm *vm, const char *path)
{
    struct node_fuse *served = calloc(1, sizeof *served);

    if (!served)
        return NULL;
    served->env = -1;
    fuse_requests_init(&served->requests, vm);
    served->session = mount_session(&served->requests, path);
    if (!served->session) {
        int error = errno;
        fuse_requests_free(&served->requests);
        free(served);
        errno = error;
        return NULL;
    }
    if (start_thread(served)) {
        int error = errno;
        unmount_session(served);
        errno = error;
        return NULL;
    }
    if (lock_env(served, path)) {
        int error = errno;
        node_fuse_stop(served);
        errno = error;
        return NULL;
    }
    return served;
}

/* While the thread still runs, other processes find that there is no env. */
void node_fuse_stop(struct node_fuse *served)
{
    publish(served, false);
    node_fuse_hang(served, NODE_HANGS_NOWHERE);
    fuse_requests_fail(fuse_requests_take(&served->requests), ECONNABORTED);
    if (served->env >= 0)
        (void)close(served->env);
    end_thread(served);
    unmount_session(served);
}

/* Its behaviour ----------------------------------------------------------------------- */

void node_fuse_hang(struct node_fuse *served, enum node_hang where)
{
    (void)pthread_mutex_lock(&served->requests.lock);
    served->requests.hang = where;
    (void)pthread_mutex_unlock(&served->requests.lock);
}

void node_fuse_trickle(struct node_fuse *served)
{
    (void)pthread_mutex_lock(&served->requests.lock);
    served->requests.trickle = true;
    (void)pthread_mutex_unlock(&served->requests.lock);
}

void node_fuse_resume(struct node_fuse *served)
{
    (void)pthread_mutex_lock(&served->requests.lock);
    served->requests.hang = NODE_HANGS_NOWHERE;
    served->requests.trickle = false;
    (void)pthread_mutex_unlock(&served->requests.lock);
    fuse_requests_answer(&served->requests, fuse_requests_take(&served->requests));
}

void node_fuse_opens(struct node_fuse *served, struct text *out)
{
    struct fuse_requests *requests = &served->requests;

    (void)pthread_mutex_lock(&requests->lock);
    text_bytes(out, requests->opens.data, requests->opens.length);
    if (requests->unrecorded)
        text_printf(out, "and %lu more\n", requests->unrecorded);
    text_free(&requests->opens);
    requests->unrecorded = 0;
    (void)pthread_mutex_unlock(&requests->lock);
}

/* What a killed simulator left -------------------------------------------------------- */

static bool is_dead(const char *path)
{
    struct stat status;

    return stat(path, &status) && errno == ENOTCONN;
}

/* Users other than root unmount with the help of fusermount3, which is set-user-id. */
static int unmount_as_user(const char *path)
{
    char *arguments[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL};
    int status = -1;
    pid_t pid;

    int error = posix_spawnp(&pid, arguments[0], NULL, NULL, arguments, environ);
    if (error) {
        errno = error;
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    errno = ENOTCONN;
    return status == 0 ? 0 : -1;
}

int node_fuse_detach(const char *path)
{
    const double moment = 0.1;

    /* A simulator that ends is disconnected for an instant before it unmounts. */
    if (!signals_sleep_until(signals_clock() + moment) || !is_dead(path))
        return signals_quit() ? -1 : 0;
    return geteuid() == 0 ? umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW)
                          : unmount_as_user(path);
}
