/* The product of a layer has OpenBLAS' bytes, whoever makes it: for shapes of models and odd ones, set and added to, on
 * every core of OpenBLAS that this processor can run, which is chosen when the library is loaded. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "math/product.h"

/* Rows, outputs, width. */
static const int64_t shapes[][3] = {
    {1024, 576, 576}, {511, 1536, 576}, {1023, 576, 1536}, {777, 129, 257}, {64, 1000, 1000}, {65, 2048, 2048},
    {63, 500, 900},   {100, 64, 11008}, {700, 44, 333},    {97, 33, 3000},  {192, 172, 512},  {193, 700, 448},
    {211, 511, 641},  {500, 77, 895},   {128, 3, 5000},    {900, 1, 1300},  {3000, 70, 63},   {4000, 600, 62}};
enum { SHAPES = (int)(sizeof shapes / sizeof shapes[0]), APART = 5 };

/* Normal numbers for one product after the other: to draw them takes longer than to multiply them. */
static const float *drawn(void) {
    static float *all;
    int64_t most = 0;
    if (all) return all;
    for (int i = 0; i < SHAPES; i++) {
        const int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        if (m * k + n * k + m * (n + APART) > most) most = m * k + n * k + m * (n + APART);
    }
    lb_rng r = lb_rng_make(1, 3);
    if (!(all = malloc((size_t)most * sizeof *all))) fail();
    for (int64_t i = 0; i < most; i++) all[i] = (float)lb_rng_normal(&r);
    return all;
}

static float *copy(const float *from, int64_t n) {
    float *out = malloc((size_t)n * sizeof *out);
    if (!out) fail();
    return memcpy(out, from, (size_t)n * sizeof *out);
}

static bool same_bytes(const int64_t shape[3], float mult, bool add) {
    int64_t m = shape[0], n = shape[1], k = shape[2], ld = n + APART; /* y: part of a wider matrix */
    float *x = copy(drawn(), m * k), *w = copy(drawn() + m * k, n * k);
    float *a = copy(drawn() + m * k + n * k, m * ld), *b = copy(a, m * ld);
    lb_sgemm(false, true, mult, lb_cmat_of(x, m, k), lb_cmat_of(w, n, k), add ? 1.0f : 0.0f, (lb_mat){a, m, n, ld});
    lb_product(lb_cmat_of(x, m, k), lb_cmat_of(w, n, k), mult, add, (lb_mat){b, m, n, ld});
    bool same = memcmp(a, b, (size_t)(m * ld) * sizeof *a) == 0;
    free(x), free(w), free(a), free(b);
    return same;
}

/* 0: all is the same; else one more than the place of the shape that is not. */
static int compare(void) {
    if (lb_blas_init(1) != LB_OK) return SHAPES + 1;
    for (int i = 0; i < SHAPES; i++)
        if (!same_bytes(shapes[i], 1.0f, false) || !same_bytes(shapes[i], 1.0f, true) ||
            !same_bytes(shapes[i], 0.7f, true))
            return i + 1;
    return 0;
}

static bool has_avx512(void) { return lb_kernels_get("avx512") != NULL; }

/* In a process of its own, whose OpenBLAS starts on this core. own: our kernels must be found to do as it does. */
static void check_core(const char *core, bool own) {
    fflush(NULL);
    (void)drawn();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (core) setenv("OPENBLAS_CORETYPE", core, 1);
        int bad = compare();
        _exit(bad ? bad : own && lb_product_depth() == 0 ? SHAPES + 2 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) fail_msg("core %s: ended by signal %d", core ? core : "of this machine", WTERMSIG(status));
    int bad = WEXITSTATUS(status) - 1;
    if (bad == SHAPES + 1) fail_msg("core %s: the length of OpenBLAS' blocks was not found", core);
    if (bad >= 0 && bad < SHAPES)
        fail_msg("core %s: %lld rows, %lld outputs, width %lld: other bytes than OpenBLAS'",
                 core ? core : "of this machine", (long long)shapes[bad][0], (long long)shapes[bad][1],
                 (long long)shapes[bad][2]);
    assert_true(bad < 0);
}

static void every_core(void **state) {
    (void)state;
    check_core(NULL, false);
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) check_core("Haswell", false);
    if (avx2) check_core("Zen", false);
    if (has_avx512()) check_core("SkylakeX", lb_kernels_active()->panel != NULL);
#endif
}

/* Where kernels are forced that have none of their own, OpenBLAS makes it. */
static void without_kernels_of_our_own(void **state) {
    (void)state;
    const char *was = lb_kernels_active()->name;
    assert_ok(lb_blas_init(1));
    assert_ok(lb_kernels_force("plain"));
    assert_null(lb_kernels_active()->panel);
    for (int i = 0; i < SHAPES; i += 4) assert_true(same_bytes(shapes[i], 1.0f, true));
    assert_ok(lb_kernels_force(was));
    for (int i = 0; i < SHAPES; i += 4) assert_true(same_bytes(shapes[i], 1.0f, true));
}

/* Wᵀ in panels, for every number of rows and widths around whole vectors; the zeros beyond are written. */
static void packed(void **state) {
    (void)state;
    const lb_kernels *kn = lb_kernels_get("avx512");
    if (!kn) skip();
    enum { MOST = 70 };
    float *w = copy(drawn(), LB_PANEL_WIDE * MOST), b[MOST * LB_PANEL_WIDE + 1];
    for (int64_t n = 1; n <= LB_PANEL_WIDE; n++)
        for (int64_t k = 1; k <= MOST; k += k < 35 ? 1 : 5) {
            for (int64_t i = 0; i <= MOST * LB_PANEL_WIDE; i++) b[i] = 7.0f;
            kn->pack(b, (lb_cmat){w, n, k, MOST});
            for (int64_t p = 0; p < k; p++)
                for (int64_t j = 0; j < LB_PANEL_WIDE; j++)
                    assert_true(b[p * LB_PANEL_WIDE + j] == (j < n ? w[j * MOST + p] : 0.0f));
            assert_true(b[k * LB_PANEL_WIDE] == 7.0f);
        }
    free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_core), cmocka_unit_test(without_kernels_of_our_own),
                                       cmocka_unit_test(packed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
