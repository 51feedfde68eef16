/* The unpacked product of the kernel table: every remainder of rows, columns and depth, against float64. */
#include "support/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "math/kernels.h"

static const char *const names[] = {"plain", "avx2", "avx512"};
enum { VARIANTS = 3 };

/* n floats that end where an unreadable page begins. */
static float *fenced(int64_t n, size_t *size, uint64_t seed) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)n * sizeof(float);
    size_t pages = (bytes + page - 1) / page * page;
    *size = pages + page;
    char *p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + pages, page, PROT_NONE), 0);
    float *x = (float *)(void *)(p + pages - bytes);
    lb_rng r = lb_rng_make(seed, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (float)lb_rng_normal(&r);
    return x;
}

static void unfence(float *x, int64_t n, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap((char *)(x + n) + page - size, size);
}

typedef struct shape {
    int64_t m, n, k, more; /* more: how much longer than needed each row is */
} shape;

static void check(const lb_kernels *kn, shape s, bool add) {
    size_t size[3];
    int64_t na = s.m * (s.k + s.more), nb = s.k * (s.n + s.more), nc = s.m * (s.n + s.more);
    /* The rows' extra elements lie before the last row's end but for the last row: there the fence begins. */
    na -= na ? s.more : 0, nb -= nb ? s.more : 0, nc -= nc ? s.more : 0;
    float *a = fenced(na, &size[0], 1), *b = fenced(nb, &size[1], 2), *c = fenced(nc, &size[2], 3);
    float *before = malloc((size_t)nc * sizeof *before + 1);
    assert_non_null(before);
    memcpy(before, c, (size_t)nc * sizeof *before);
    kn->matmul((lb_mat){c, s.m, s.n, s.n + s.more}, (lb_cmat){a, s.m, s.k, s.k + s.more},
               (lb_cmat){b, s.k, s.n, s.n + s.more}, add);
    for (int64_t i = 0; i < s.m; i++)
        for (int64_t j = 0; j < s.n + s.more && i * (s.n + s.more) + j < nc; j++) {
            int64_t at = i * (s.n + s.more) + j;
            double want = add ? (double)before[at] : 0, size_of = fabs(want);
            for (int64_t p = 0; p < s.k && j < s.n; p++) {
                double x = (double)a[i * (s.k + s.more) + p] * (double)b[p * (s.n + s.more) + j];
                want += x;
                size_of += fabs(x);
            }
            bool right = j < s.n ? fabs((double)c[at] - want) <= (double)(s.k + 2) * (double)FLT_EPSILON / 2 * size_of
                                 : c[at] == before[at]; /* between rows nothing is written */
            if (!right)
                fail_msg("%s %lldx%lldx%lld + %lld: (%lld, %lld) is %g, expected %g", kn->name, (long long)s.m,
                         (long long)s.n, (long long)s.k, (long long)s.more, (long long)i, (long long)j, (double)c[at],
                         want);
        }
    free(before);
    unfence(a, na, size[0]);
    unfence(b, nb, size[1]);
    unfence(c, nc, size[2]);
}

static void every_remainder(void **state) {
    (void)state;
    static const int64_t ks[] = {0, 1, 2, 17, 127, 128, 129, 300};
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *kn = lb_kernels_get(names[v]);
        if (!kn) continue;
        for (int64_t n = 0; n <= 70; n++)
            for (int64_t m = n % 4; m <= 13; m += 4)
                check(kn, (shape){m, n, ks[(m + n) % 8], n % 3 ? 0 : 5}, (m + n) % 2);
        for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
            check(kn, (shape){12, 64, ks[i], 3}, false);
            check(kn, (shape){7, 131, ks[i], 0}, true);
        }
    }
}

/* Both vector variants take the same fused steps in the same order. */
static void vector_variants_agree_to_the_bit(void **state) {
    (void)state;
    enum { M = 13, N = 77, K = 261 };
    static float a[M * K], b[K * N], c[2][M * N];
    const lb_kernels *x = lb_kernels_get("avx2"), *y = lb_kernels_get("avx512");
    if (!x || !y) skip();
    lb_rng r = lb_rng_make(5, 0);
    for (int i = 0; i < M * K; i++) a[i] = (float)lb_rng_normal(&r);
    for (int i = 0; i < K * N; i++) b[i] = (float)lb_rng_normal(&r);
    x->matmul(lb_mat_of(c[0], M, N), lb_cmat_of(a, M, K), lb_cmat_of(b, K, N), false);
    y->matmul(lb_mat_of(c[1], M, N), lb_cmat_of(a, M, K), lb_cmat_of(b, K, N), false);
    assert_memory_equal(c[0], c[1], sizeof c[0]);
}

/* A row's result depends on that row alone, wherever it lies in A. */
static void rows_are_independent(void **state) {
    (void)state;
    enum { M = 17, N = 40, K = 50 };
    static float a[M * K], b[K * N], all[M * N], one[N];
    lb_rng r = lb_rng_make(6, 0);
    for (int i = 0; i < M * K; i++) a[i] = (float)lb_rng_normal(&r);
    for (int i = 0; i < K * N; i++) b[i] = (float)lb_rng_normal(&r);
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *kn = lb_kernels_get(names[v]);
        if (!kn) continue;
        kn->matmul(lb_mat_of(all, M, N), lb_cmat_of(a, M, K), lb_cmat_of(b, K, N), false);
        for (int i = 0; i < M; i++) {
            kn->matmul(lb_mat_of(one, 1, N), lb_cmat_of(a + i * K, 1, K), lb_cmat_of(b, K, N), false);
            assert_memory_equal(one, all + i * N, sizeof one);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_remainder),
        cmocka_unit_test(vector_variants_agree_to_the_bit),
        cmocka_unit_test(rows_are_independent),
    };
    return cmocka_run_group_tests_name("math/matmul", tests, NULL, NULL);
}
