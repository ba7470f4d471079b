/* Inspects and signals a process through one descriptor of its directory in /proc.
 *
 * Process ids are reused, so a chain of calls by id (open /proc/PID/exe, then kill) may
 * look at one process and signal another. A descriptor of /proc/PID is bound to the
 * process: its files are opened with openat(), and pidfd_send_signal() accepts it as a
 * pidfd. When the process has ended, these calls fail with ENOENT or ESRCH, depending on
 * how far its end has progressed.
 *
 * What /proc says:
 *     fd/N      a link to each open file; fstatat() through it gives device and inode
 *     exe       a link to the executable
 *     status    lines "Key:\tvalue"; SigCgt is the mask of caught signals, bit N-1 for
 *               signal N; NSpid lists the process's ids in nested pid namespaces */
#if defined(__linux__)
#    define _GNU_SOURCE

#    include "host/process_linux.h"
#    include "host/vm_server.h"
#    include "util/os.h"
#    include "util/retry.h"

#    include <dirent.h>
#    include <errno.h>
#    include <fcntl.h>
#    include <stdbool.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/syscall.h>
#    include <unistd.h>

static bool means_ended(int number)
{
    return number == ENOENT || number == ESRCH;
}

static int fail_inspect(const struct process *process, int number, struct qvm_error *err)
{
    if (number == EACCES || number == EPERM)
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: process %ld cannot be looked at: run as its user or as root",
                        process->path, (long)process->pid);
    return means_ended(number) ? vm_server_fail_ended(process->path, process->pid, err)
                               : qvm_fail_errno(err, number, process->path);
}

/* Opening ----------------------------------------------------------------------------- */

/* Reads the first line of DIRECTORY/status that begins with `key`, and stores the rest of
 * it. Returns 1, 0 if there is no such line, or -1 with errno. */
static int read_status(int directory, const char *key, char *value, size_t size)
{
    int fd = retry_openat(directory, "status", O_RDONLY | O_CLOEXEC), found = 0, number;
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (!file) {
        if (fd >= 0)
            os_close(fd);
        return -1;
    }
    while (!found && fgets(value, (int)size, file)) {
        found = strncmp(value, key, strlen(key)) == 0;
        if (found)
            memmove(value, value + strlen(key), strlen(value) - strlen(key) + 1);
    }
    number = errno;
    if (ferror(file))
        found = -1;
    fclose(file);
    errno = number;
    return found;
}

static int fail_namespace(const char *path, struct qvm_error *err)
{
    return qvm_fail(err, QVM_UNSUPPORTED,
                    "%s: /proc is not that of this process namespace: who serves it cannot "
                    "be verified",
                    path);
}

/* F_GETLK reports process ids of this process's namespace; /proc may be that of another
 * one, where the same ids are other processes. NSpid of /proc/self lists our ids from the
 * namespace of /proc inwards: there is exactly one, our own, if the two are the same. A
 * kernel without namespaces has no such line. */
static int check_namespace(const char *path, struct qvm_error *err)
{
    char ids[128], *end;
    int self = retry_open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int found;

    if (self < 0)
        return errno == ENOENT ? fail_namespace(path, err)
                               : qvm_fail_errno(err, errno, path);
    found = read_status(self, "NSpid:", ids, sizeof ids);
    os_close(self);
    if (found < 0)
        return qvm_fail_errno(err, errno, path);
    if (found == 0 || (strtol(ids, &end, 10) == (long)getpid() && *end == '\n'))
        return 0;
    return fail_namespace(path, err);
}

int process_open(struct process *process, pid_t pid, const char *path,
                 struct qvm_error *err)
{
    char name[64];

    *process = (struct process){.path = path, .pid = pid, .directory = -1};
    if (check_namespace(path, err) != 0)
        return -1;
    snprintf(name, sizeof name, "/proc/%ld", (long)pid);
    process->directory = retry_open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process->directory >= 0)
        return 0;
    return means_ended(errno) ? vm_server_fail_ended(path, pid, err)
                              : qvm_fail_errno(err, errno, path);
}

void process_close(struct process *process)
{
    close(process->directory);
    process->directory = -1;
}

/* The files that it has open ---------------------------------------------------------- */

/* A stream over its directory "fd", or NULL with errno. */
static DIR *open_descriptors(const struct process *process)
{
    int fd = retry_openat(process->directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

    if (!stream && fd >= 0)
        os_close(fd);
    return stream;
}

/* Is one of the descriptors this file? 1, 0, or -1 with errno. A descriptor that is closed
 * meanwhile (ENOENT) is not the file; one that cannot be inspected might be. */
static int find_file(DIR *descriptors, const struct stat *file)
{
    struct dirent *entry;
    struct stat status;
    int number = 0;

    /* readdir() returns NULL at the end and on an error; only errno tells which. */
    for (errno = 0; (entry = readdir(descriptors)); errno = 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (fstatat(dirfd(descriptors), entry->d_name, &status, 0) != 0)
            number = errno == ENOENT ? number : errno;
        else if (status.st_dev == file->st_dev && status.st_ino == file->st_ino)
            return 1;
    }
    if (errno == 0)
        errno = number;
    return errno == 0 ? 0 : -1;
}

int process_check_open_file(const struct process *process, const struct stat *file,
                            struct qvm_error *err)
{
    DIR *descriptors = open_descriptors(process);
    int found, number;

    if (!descriptors)
        return fail_inspect(process, errno, err);
    found = find_file(descriptors, file);
    number = errno;
    closedir(descriptors);
    if (found < 0)
        return fail_inspect(process, number, err);
    return found ? 0 : vm_server_fail_ended(process->path, process->pid, err);
}

/* Its executable ---------------------------------------------------------------------- */

/* The kernel appends " (deleted)" to the target if the executable was replaced while it
 * runs, as an update does. A file may also be so named: then it still has a link. */
static void strip_deleted(char *target, const struct process *process)
{
    static const char mark[] = " (deleted)";
    size_t length = strlen(target), tail = sizeof mark - 1;
    struct stat status;

    if (length > tail && strcmp(target + length - tail, mark) == 0 &&
        fstatat(process->directory, "exe", &status, 0) == 0 && status.st_nlink == 0)
        target[length - tail] = '\0';
}

int process_check_executable(const struct process *process, struct qvm_error *err)
{
    char target[4096];
    ssize_t length = readlinkat(process->directory, "exe", target, sizeof target - 1);

    if (length < 0)
        return fail_inspect(process, errno, err);
    target[length] = '\0';
    strip_deleted(target, process);
    return vm_server_check_name(target, process->pid, process->path, err);
}

/* Signals ----------------------------------------------------------------------------- */

int process_signal(const struct process *process, int number, struct qvm_error *err)
{
    if (syscall(SYS_pidfd_send_signal, process->directory, number, NULL, 0) == 0)
        return 0;
    if (errno == EPERM)
        return qvm_fail(err, QVM_PERMISSION,
                        "%s: process %ld may not be signalled: run as its user or as root",
                        process->path, (long)process->pid);
    return errno == ESRCH ? vm_server_fail_ended(process->path, process->pid, err)
                          : qvm_fail_errno(err, errno, process->path);
}

int process_check_catches(const struct process *process, int number, struct qvm_error *err)
{
    char mask[64];
    int found = read_status(process->directory, "SigCgt:", mask, sizeof mask);

    if (found < 0)
        return means_ended(errno) ? vm_server_fail_ended(process->path, process->pid, err)
                                  : qvm_fail_errno(err, errno, process->path);
    if (found > 0 && (strtoull(mask, NULL, 16) >> (number - 1) & 1))
        return 0;
    /* The mask of a process that ends while its status is read is empty. Signal 0 only asks
     * whether the process is there. */
    if (process_signal(process, 0, err) != 0 && err->code == QVM_GONE)
        return -1;
    return qvm_fail(
        err, QVM_NOT_QVM,
        "%s: process %ld does not catch signal %d, which would end it: not sent",
        process->path, (long)process->pid, number);
}

#else
typedef int process_linux_is_unused; /* a file must not be empty */
#endif
