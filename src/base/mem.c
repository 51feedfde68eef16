#include "base/mem.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
enum { RED_ZONE = 64 }; /* between two blocks of an arena, so that a write past one is caught */
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { RED_ZONE = 0 };
#endif

enum { ALIGN = 64, KEEP_MOST = 32 << 20 /* bytes of a chunk that a restore keeps */ };

static atomic_int_least64_t made, fail_at;

void lb_alloc_fail_at(int64_t nth) {
    atomic_store(&made, 0);
    atomic_store(&fail_at, nth);
}

int64_t lb_alloc_count(void) { return atomic_load(&made); }

/* Matrices get pages of their own, which go back to the system when they are freed. Left to itself the C library moves
 * them to its heap once the first one was freed; there a small block that lands where one was keeps the next one from
 * fitting, and the heap grows by a matrix a layer. */
static void set_up(void) {
    enum { OWN_PAGES = 2 << 20, KEEP_FREE = 4 << 20 };
    (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES);
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_FREE);
}
static pthread_once_t ready = PTHREAD_ONCE_INIT;

/* Every allocation goes through here: aligned, not zeroed, the error set on failure. */
static void *get(size_t count, size_t size) {
    int64_t nth = atomic_fetch_add(&made, 1) + 1;
    size_t bytes;
    pthread_once(&ready, set_up);
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - ALIGN) {
        (void)!lb_fail(LB_E_NOMEM, "out of memory: %zu x %zu bytes is more than an object can have", count, size);
        return NULL;
    }
    void *p = NULL;
    if (nth == atomic_load(&fail_at) || posix_memalign(&p, ALIGN, bytes ? bytes : 1)) {
        (void)lb_child_refused(bytes);
        (void)!lb_fail(LB_E_NOMEM, "out of memory: %zu bytes (%zu x %zu)", bytes, count, size);
        return NULL;
    }
    return p;
}

void *lb_alloc(size_t count, size_t size) {
    void *p = get(count, size);
    if (p) memset(p, 0, count * size);
    return p;
}

void *lb_realloc(void *p, size_t old_count, size_t new_count, size_t size) {
    void *q = get(new_count, size);
    if (!q) return NULL;
    if (p) memcpy(q, p, (old_count < new_count ? old_count : new_count) * size);
    free(p);
    return q;
}

void lb_free(void *p) { free(p); }

char *lb_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = get(n, 1);
    return p ? memcpy(p, s, n) : NULL;
}

typedef struct chunk {
    struct chunk *older;
    size_t size, used; /* bytes of data[] */
    _Alignas(ALIGN) unsigned char data[];
} chunk;

struct lb_arena {
    chunk *newest, *spare; /* spare: kept by a restore, for the next chunks */
    size_t chunk_bytes;
    size_t held, most; /* bytes that are got now, and were at most; without red zones */
};

lb_status lb_arena_new(size_t chunk_bytes, lb_arena **out) {
    *out = lb_alloc(1, sizeof **out);
    if (!*out) return LB_E_NOMEM;
    (*out)->chunk_bytes = chunk_bytes ? chunk_bytes : (size_t)1 << 20;
    return LB_OK;
}

static void drop(chunk **list) {
    chunk *c = *list;
    *list = c->older;
    UNPOISON(c->data, c->size);
    lb_free(c);
}

void lb_arena_trim(lb_arena *a) {
    while (a->spare) drop(&a->spare);
}

void lb_arena_free(lb_arena *a) {
    if (!a) return;
    while (a->newest) drop(&a->newest);
    lb_arena_trim(a);
    lb_free(a);
}

/* The smallest spare chunk of this size; none of more than twice the size, which something large may be in need of. */
static chunk *take_spare(lb_arena *a, size_t size) {
    chunk **best = NULL;
    for (chunk **c = &a->spare; *c; c = &(*c)->older)
        if ((*c)->size >= size && (*c)->size / 2 <= size && (!best || (*c)->size < (*best)->size)) best = c;
    if (!best) return NULL;
    chunk *c = *best;
    *best = c->older;
    return c;
}

static bool add_chunk(lb_arena *a, size_t bytes) {
    size_t size = bytes > a->chunk_bytes ? bytes : a->chunk_bytes;
    chunk *c = take_spare(a, size);
    if (!c) {
        c = size > SIZE_MAX - sizeof *c ? get(SIZE_MAX, 1) : get(sizeof *c + size, 1);
        if (!c) return false;
        c->size = size;
        POISON(c->data, c->size);
    }
    c->older = a->newest;
    c->used = 0;
    a->newest = c;
    return true;
}

void *lb_arena_get_unset(lb_arena *a, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - ALIGN - RED_ZONE)
        return get(count, size); /* too large: sets the error and gives NULL */
    size_t room = (bytes + RED_ZONE + ALIGN - 1) / ALIGN * ALIGN;
    if (room == 0) room = ALIGN; /* blocks of no bytes still have places of their own */
    if ((!a->newest || a->newest->size - a->newest->used < room) && !add_chunk(a, room)) return NULL;
    chunk *c = a->newest;
    void *p = c->data + c->used;
    c->used += room;
    a->held += room - RED_ZONE;
    if (a->held > a->most) a->most = a->held;
    UNPOISON(p, bytes);
    return p;
}

void *lb_arena_get(lb_arena *a, size_t count, size_t size) {
    void *p = lb_arena_get_unset(a, count, size);
    return p ? memset(p, 0, count * size) : NULL;
}

char *lb_arena_strdup(lb_arena *a, const char *s) {
    size_t n = strlen(s) + 1;
    char *p = lb_arena_get(a, n, 1);
    return p ? memcpy(p, s, n) : NULL;
}

char *lb_arena_printf(lb_arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = NULL;
    if (n < 0)
        (void)!lb_fail(LB_E_ARG, "text could not be formatted: %.200s", fmt);
    else
        p = lb_arena_get(a, (size_t)n + 1, 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

lb_arena_mark lb_arena_save(const lb_arena *a) {
    return (lb_arena_mark){a->newest, a->newest ? a->newest->used : 0, a->held};
}

size_t lb_arena_most(const lb_arena *a) { return a->most; }

void lb_arena_restore(lb_arena *a, lb_arena_mark m) {
    while (a->newest != m.chunk) {
        chunk *c = a->newest;
        if (c->size > KEEP_MOST) {
            drop(&a->newest);
            continue;
        }
        a->newest = c->older;
        POISON(c->data, c->size);
        c->older = a->spare;
        a->spare = c;
    }
    a->held = m.held;
    if (!a->newest) return;
    a->newest->used = m.used;
    POISON(a->newest->data + m.used, a->newest->size - m.used);
}
