#include "base/live.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MAPS = 1024, TMPS = 16 };

/* An entry is complete before its start, or its flag, says that it is there. */
static struct {
    atomic_uintptr_t start; /* 0: free */
    size_t bytes;
    const char *path;
} map[MAPS];
static struct {
    atomic_bool there;
    char path[PATH_MAX];
} tmp[TMPS];
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

void lb_live_map(const void *p, size_t n, const char *path) {
    pthread_mutex_lock(&changing);
    for (size_t i = 0; i < MAPS; i++) {
        if (atomic_load(&map[i].start)) continue;
        map[i].bytes = n;
        map[i].path = path;
        atomic_store(&map[i].start, (uintptr_t)p);
        break;
    }
    pthread_mutex_unlock(&changing);
}

void lb_live_unmap(const void *p) {
    pthread_mutex_lock(&changing);
    for (size_t i = 0; i < MAPS; i++)
        if (atomic_load(&map[i].start) == (uintptr_t)p) atomic_store(&map[i].start, 0);
    pthread_mutex_unlock(&changing);
}

const char *lb_live_file(const void *address) {
    for (size_t i = 0; i < MAPS; i++) {
        uintptr_t start = atomic_load(&map[i].start), at = (uintptr_t)address;
        if (start && at >= start && at - start < map[i].bytes) return map[i].path;
    }
    return NULL;
}

void lb_live_tmp(const char *path) {
    if (strlen(path) >= PATH_MAX) return;
    pthread_mutex_lock(&changing);
    for (size_t i = 0; i < TMPS; i++) {
        if (atomic_load(&tmp[i].there)) continue;
        strcpy(tmp[i].path, path);
        atomic_store(&tmp[i].there, true);
        break;
    }
    pthread_mutex_unlock(&changing);
}

void lb_live_tmp_gone(const char *path) {
    pthread_mutex_lock(&changing);
    for (size_t i = 0; i < TMPS; i++)
        if (atomic_load(&tmp[i].there) && strcmp(tmp[i].path, path) == 0) atomic_store(&tmp[i].there, false);
    pthread_mutex_unlock(&changing);
}

void lb_live_remove_tmp(void) {
    for (size_t i = 0; i < TMPS; i++)
        if (atomic_load(&tmp[i].there)) (void)unlink(tmp[i].path);
}
