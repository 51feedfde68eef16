#include "math/kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "math/kernels_impl.h"

static bool have_plain(void) { return true; }
#if defined(__x86_64__)
static bool have_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool have_avx512(void) {
    return have_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#define CHOICES "auto, avx512, avx2, plain"
#else
#define CHOICES "auto, plain"
#endif

/* Best first. */
static const struct {
    const lb_kernels *kernels;
    bool (*have)(void);
} variant[] = {
#if defined(__x86_64__)
    {&lb_kernels_avx512, have_avx512},
    {&lb_kernels_avx2, have_avx2},
#endif
    {&lb_kernels_plain, have_plain},
};
enum { VARIANTS = sizeof variant / sizeof variant[0] };

const lb_kernels *lb_kernels_get(const char *name) {
    for (int i = 0; i < VARIANTS; i++)
        if (strcmp(variant[i].kernels->name, name) == 0) return variant[i].have() ? variant[i].kernels : NULL;
    return NULL;
}

/* The choice; NULL until the first use. Every thread that finds NULL computes the same one. */
static _Atomic(const lb_kernels *) chosen;

const lb_kernels *lb_kernels_active(void) {
    const lb_kernels *k = atomic_load_explicit(&chosen, memory_order_acquire);
    if (k) return k;
    const char *name = getenv("LOWBIT_KERNELS");
    k = name ? lb_kernels_get(name) : NULL; /* a name that is none was refused by lb_kernels_init */
    for (int i = 0; !k; i++)
        if (variant[i].have()) k = variant[i].kernels;
    atomic_store_explicit(&chosen, k, memory_order_release);
    return k;
}

static lb_status check(const char *name, const char *from) {
    if (lb_kernels_get(name) || strcmp(name, "auto") == 0) return LB_OK;
    for (int i = 0; i < VARIANTS; i++)
        if (strcmp(variant[i].kernels->name, name) == 0)
            return lb_fail(LB_E_ARG, "%s%s: this processor lacks the instructions; choose one of " CHOICES, from, name);
    return lb_fail(LB_E_ARG, "%s%s: unknown kernels; choose one of " CHOICES, from, name);
}

lb_status lb_kernels_init(void) {
    const char *name = getenv("LOWBIT_KERNELS");
    return name ? check(name, "LOWBIT_KERNELS=") : LB_OK;
}

lb_status lb_kernels_force(const char *name) {
    LB_TRY(check(name, "kernels "));
    atomic_store_explicit(&chosen, lb_kernels_get(name), memory_order_release);
    return LB_OK;
}
