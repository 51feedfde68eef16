#include "base/clock.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t id) {
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double lb_clock_s(void) { return seconds(CLOCK_MONOTONIC); }
double lb_clock_cpu_s(void) { return seconds(CLOCK_PROCESS_CPUTIME_ID); }

bool lb_peak_memory_begin(void) {
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, "5", 1) == 1; /* proc(5): the high water mark, and nothing else */
    if (fd >= 0) close(fd);
    return done;
}

int64_t lb_peak_memory_bytes(void) {
    struct rusage u = {0};
    long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && kib == 0 && fgets(line, sizeof line, f)) (void)sscanf(line, "VmHWM: %lld", &kib);
    if (f) fclose(f);
    if (kib > 0) return kib * 1024;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)u.ru_maxrss * 1024; /* Linux counts KiB */
}

void lb_clock_iso(char out[32]) {
    time_t now = time(NULL);
    struct tm tm = {0};
    gmtime_r(&now, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void lb_format_duration(double s, char out[32]) {
    double whole = rint(s);
    if (!(s >= 0 && s < 1e9))
        snprintf(out, 32, "unknown");
    else if (s < 0.9995)
        snprintf(out, 32, "%.0f ms", s * 1e3);
    else if (s < 59.95)
        snprintf(out, 32, "%.1f s", s);
    else if (whole < 3600)
        snprintf(out, 32, "%.0f min %02.0f s", floor(whole / 60), fmod(whole, 60));
    else {
        double minutes = rint(s / 60);
        snprintf(out, 32, "%.0f h %02.0f min", floor(minutes / 60), fmod(minutes, 60));
    }
}

void lb_format_bytes(double bytes, char out[32]) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int u = 0;
    while (fabs(bytes) >= (u ? 1023.995 : 1023.5) && u < 5) {
        bytes /= 1024;
        u++;
    }
    snprintf(out, 32, u ? "%.2f %s" : "%.0f %s", bytes, unit[u]);
}
