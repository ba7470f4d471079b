/* Times a complete program, from start to exit:
 *
 * stopwatch OUTPUT PROGRAM ARGUMENT...
 *
 * Prints "time SECONDS" and the program's exit status as "status N". The program's output
 * goes to the file OUTPUT, since some programs behave differently if it is /dev/null. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void run(const char *output, char **program)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(126);
    close(fd);
    execvp(program[0], program);
    perror(program[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    double start = seconds();
    int status = 0;
    pid_t child;

    if (argc < 3)
        return 2;
    child = fork();
    if (child == 0)
        run(argv[1], argv + 2);
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("stopwatch");
        return 1;
    }
    printf("time %.9f\n", seconds() - start);
    printf("status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
