/* What libraries allocate. The program's own allocations fail where they are made (lb_alloc). A library's do not: for
 * want of memory HDF5 calls exit() in one place and follows a null pointer in others, and libcrypto says that it does
 * not know SHA-256. So their malloc, calloc and realloc come here first, and one that fails is noted, then made again
 * with a few megabytes that were put aside: the library works on, and the program stops at its next look
 * (lb_starved_check), in order and with the right reason.
 *
 * A request for more than libraries have reason to make, or than a child process is allowed, is a length out of a
 * damaged file, which they refuse. */
#include "base/child.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_MALLOC 1
#endif
#endif

#if defined(__GLIBC__) && !defined(OTHER_MALLOC)

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { RESERVE = 4 << 20, MOST = 64 << 20 };

static _Atomic(void *) reserve;

void lb_memory_reserve(void) {
    void *p = mmap(NULL, RESERVE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED) atomic_store(&reserve, p);
}

/* Is it worth another try? */
static bool again(size_t bytes) {
    if (bytes > MOST || lb_child_refused(bytes)) return false;
    lb_starved(bytes);
    void *p = atomic_exchange(&reserve, NULL);
    if (p) munmap(p, RESERVE);
    return true;
}

/* The allocator behind this one: the C library's, or one that was put before it. Until it is found (dlsym may allocate)
 * the C library's own names serve. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t n);
/* NOLINTEND(bugprone-reserved-identifier) */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
} behind = {__libc_malloc, __libc_calloc, __libc_realloc};
static atomic_bool found;

static void find(void) {
    if (atomic_load_explicit(&found, memory_order_relaxed) || atomic_exchange(&found, true)) return;
    void *m = dlsym(RTLD_NEXT, "malloc"), *c = dlsym(RTLD_NEXT, "calloc"), *r = dlsym(RTLD_NEXT, "realloc");
    if (!m || !c || !r) return;
    *(void **)&behind.malloc = m;
    *(void **)&behind.calloc = c;
    *(void **)&behind.realloc = r;
}

void lb_memory_look(void) {
    enum { SOME = 1 << 16 };
    void *p = behind.malloc(SOME);
    if (!p) lb_starved(SOME);
    free(p);
}

void *malloc(size_t n) {
    find();
    void *p = behind.malloc(n);
    return p || !n || !again(n) ? p : behind.malloc(n);
}

void *calloc(size_t count, size_t size) {
    size_t bytes;
    find();
    void *p = behind.calloc(count, size);
    if (p || __builtin_mul_overflow(count, size, &bytes) || !bytes || !again(bytes)) return p;
    return behind.calloc(count, size);
}

void *realloc(void *old, size_t n) {
    find();
    void *p = behind.realloc(old, n);
    return p || !n || !again(n) ? p : behind.realloc(old, n);
}

#else

void lb_memory_reserve(void) {}
void lb_memory_look(void) {}

#endif
