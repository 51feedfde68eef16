/* Runs a command and writes what it took to a file: wall seconds, processor seconds, peak resident bytes,
 * and how many processors others kept busy meanwhile: where that is not near 0, wall times do not compare.
 *   measure FILE COMMAND [ARGUMENT]...      ends with the command's own exit code */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Processor seconds that the whole machine was busy since it started; negative: not known. */
static double machine_busy_s(void) {
    unsigned long long t[8] = {0};
    FILE *f = fopen("/proc/stat", "r");
    int n =
        f ? fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", t, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7)
          : 0;
    if (f) fclose(f);
    if (n != 8) return -1;
    /* user, nice, system, irq, softirq, steal; not idle and waiting for disks */
    return (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: measure FILE COMMAND [ARGUMENT]...\n");
        return 2;
    }
    double busy = machine_busy_s(), start = lb_clock_s();
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
    double after = machine_busy_s(), others = busy < 0 || after < 0 ? -1 : (after - busy - cpu) / wall;
    if (busy >= 0 && others < 0) others = 0; /* ticks are coarse */
    FILE *f = fopen(argv[1], "w");
    if (!f || fprintf(f, "%.4f %.4f %lld %.3f\n", wall, cpu, (long long)u.ru_maxrss * 1024, others) < 0 || fclose(f)) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
