/* Runs a command and writes what it took to a file: wall seconds, processor seconds, peak resident bytes.
 *   measure FILE COMMAND [ARGUMENT]...      ends with the command's own exit code */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: measure FILE COMMAND [ARGUMENT]...\n");
        return 2;
    }
    double start = lb_clock_s();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    int status = 0;
    struct rusage u;
    if (child < 0 || wait4(child, &status, 0, &u) < 0) {
        perror("measure");
        return 1;
    }
    double wall = lb_clock_s() - start;
    double cpu =
        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    FILE *f = fopen(argv[1], "w");
    if (!f || fprintf(f, "%.4f %.4f %lld\n", wall, cpu, (long long)u.ru_maxrss * 1024) < 0 || fclose(f)) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
