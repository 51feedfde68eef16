/* Preloaded into the program (LD_PRELOAD): makes allocations fail. INJECT_AT=N: the Nth; INJECT_FROM=N: that and all
 * after it; INJECT_OF=library leaves out posix_memalign, which the program alone uses. INJECT_COUNT=FILE: at the end
 * their number is written there. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
} real;
static atomic_long made;
static long at, from;
static bool library_only;
static _Thread_local bool finding;

/* dlsym may allocate before there is anything to call. Such memory is never given back. */
static _Alignas(16) char early[1 << 16];
static atomic_size_t early_used;

static void *get_early(size_t n) {
    size_t place = atomic_fetch_add(&early_used, (n + 15) / 16 * 16);
    return place + n <= sizeof early ? early + place : NULL;
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static bool ready(void) {
    if (real.malloc) return true;
    if (finding) return false;
    finding = true;
    *(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    at = number("INJECT_AT");
    from = number("INJECT_FROM");
    const char *of = getenv("INJECT_OF");
    library_only = of && strcmp(of, "library") == 0;
    *(void **)&real.malloc = dlsym(RTLD_NEXT, "malloc");
    finding = false;
    return true;
}

static bool fails(bool library) {
    if (library_only && !library) return false;
    long n = atomic_fetch_add(&made, 1) + 1;
    bool yes = n == at || (from > 0 && n >= from);
    if (yes) errno = ENOMEM;
    return yes;
}

void *malloc(size_t n) {
    if (!ready()) return get_early(n);
    return fails(true) ? NULL : real.malloc(n);
}

void *calloc(size_t count, size_t size) {
    if (!ready()) return get_early(count * size);
    return fails(true) ? NULL : real.calloc(count, size);
}

void *realloc(void *p, size_t n) {
    if (!ready()) return NULL;
    return fails(true) ? NULL : real.realloc(p, n);
}

int posix_memalign(void **p, size_t align, size_t n) {
    if (!ready()) return ENOMEM;
    return fails(false) ? ENOMEM : real.posix_memalign(p, align, n);
}

__attribute__((destructor)) static void tell(void) {
    char text[32];
    const char *path = getenv("INJECT_COUNT");
    if (!path) return;
    int n = snprintf(text, sizeof text, "%ld\n", atomic_load(&made)),
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n) _exit(99);
    close(fd);
}
