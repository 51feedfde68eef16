#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/team.h"
#include "math/blas.h"
#include "math/factor.h"

static double *random_d(lb_arena *a, int64_t n, uint64_t seed) {
    lb_rng r = lb_rng_make(seed, 0);
    double *p = LB_NEW(a, double, n);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) p[i] = lb_rng_normal(&r);
    return p;
}

/* Shapes with the leading dimension larger than the row; what lies between rows must not change. */
static void gemm(void **state) {
    lb_arena *a = *state;
    enum { M = 5, N = 7, K = 9, PAD = 3 };
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            int64_t ar = ta ? K : M, ac = ta ? M : K, br = tb ? N : K, bc = tb ? K : N;
            double *A = random_d(a, ar * (ac + PAD), 1), *B = random_d(a, br * (bc + PAD), 2);
            double *C = random_d(a, M * (N + PAD), 3), *was = random_d(a, M * (N + PAD), 3);
            float *sA = LB_NEW(a, float, ar *(ac + PAD)), *sB = LB_NEW(a, float, br *(bc + PAD));
            float *sC = LB_NEW(a, float, M *(N + PAD));
            for (int64_t i = 0; i < ar * (ac + PAD); i++) sA[i] = (float)A[i];
            for (int64_t i = 0; i < br * (bc + PAD); i++) sB[i] = (float)B[i];
            for (int64_t i = 0; i < M * (N + PAD); i++) sC[i] = (float)C[i];
            lb_dgemm(ta, tb, 0.5, (lb_cdmat){A, ar, ac, ac + PAD}, (lb_cdmat){B, br, bc, bc + PAD}, -2,
                     (lb_dmat){C, M, N, N + PAD});
            lb_sgemm(ta, tb, 0.5f, (lb_cmat){sA, ar, ac, ac + PAD}, (lb_cmat){sB, br, bc, bc + PAD}, -2,
                     (lb_mat){sC, M, N, N + PAD});
            for (int i = 0; i < M; i++)
                for (int j = 0; j < N + PAD; j++) {
                    double want = was[i * (N + PAD) + j];
                    if (j < N) {
                        want *= -2;
                        for (int k = 0; k < K; k++)
                            want += 0.5 * A[ta ? k * (M + PAD) + i : i * (K + PAD) + k] *
                                    B[tb ? j * (K + PAD) + k : k * (N + PAD) + j];
                    }
                    assert_true(fabs(C[i * (N + PAD) + j] - want) < 1e-13);
                    assert_true(fabs((double)sC[i * (N + PAD) + j] - want) < 2e-5);
                }
        }
}

/* In pieces over a team: what one call gives, whichever side is cut, at any number of threads. */
static void over_a_team(void **state) {
    lb_arena *a = *state;
    static const int64_t shape[][3] = {{700, 90, 300}, {90, 700, 64}, {383, 5, 40}, {384, 384, 384}, {16, 1000, 500}};
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++)
        for (int t = 0; t < 4; t++) {
            bool ta = t & 1, tb = t & 2;
            int64_t M = shape[s][0], N = shape[s][1], K = shape[s][2];
            lb_cdmat A = {random_d(a, M * K, 1), ta ? K : M, ta ? M : K, ta ? M : K};
            lb_cdmat B = {random_d(a, N * K, 2), tb ? N : K, tb ? K : N, tb ? K : N};
            double *C = random_d(a, M * N, 3), *one = random_d(a, M * N, 3), *four = random_d(a, M * N, 3);
            lb_dgemm(ta, tb, 0.5, A, B, -2, lb_dmat_of(C, M, N));
            for (int threads = 1; threads <= 4; threads += 3) {
                lb_team *team;
                assert_ok(lb_team_new(threads, &team));
                assert_ok(lb_blas_init(threads));
                assert_ok(lb_dgemm_team(ta, tb, 0.5, A, B, -2, lb_dmat_of(threads == 1 ? one : four, M, N), team));
                lb_team_free(team);
            }
            assert_memory_equal(one, four, sizeof(double) * (size_t)(M * N));
            for (int64_t i = 0; i < M * N; i++) assert_true(fabs(one[i] - C[i]) <= 1e-12 * (double)K);
        }
}

static void beta_zero_does_not_read(void **state) {
    (void)state;
    float one = 1, c = NAN;
    double done = 1, dc = NAN;
    lb_sgemm(false, false, 2, lb_cmat_of(&one, 1, 1), lb_cmat_of(&one, 1, 1), 0, lb_mat_of(&c, 1, 1));
    lb_dgemm(false, false, 2, (lb_cdmat){&done, 1, 1, 1}, (lb_cdmat){&done, 1, 1, 1}, 0, lb_dmat_of(&dc, 1, 1));
    assert_true(c == 2 && dc == 2);
    c = 3, dc = 3; /* and empty shapes are no error: an empty sum only scales */
    lb_sgemm(false, false, 1, lb_cmat_of(&one, 1, 0), lb_cmat_of(&one, 0, 1), 2, lb_mat_of(&c, 1, 1));
    lb_dgemm(false, false, 1, (lb_cdmat){&done, 1, 0, 0}, (lb_cdmat){&done, 0, 1, 1}, 2, lb_dmat_of(&dc, 1, 1));
    assert_true(c == 6 && dc == 6);
    lb_sgemm(false, false, 1, lb_cmat_of(&one, 0, 1), lb_cmat_of(&one, 1, 1), 0, lb_mat_of(&c, 0, 1));
    assert_true(c == 6);
    assert_ok(lb_cholesky_lower(lb_dmat_of(&dc, 0, 0), NULL, NULL, NULL));
    assert_ok(lb_invert_lower(lb_dmat_of(&dc, 0, 0), NULL));
}

static void syrk_fills_the_upper_triangle(void **state) {
    lb_arena *a = *state;
    enum { K = 40, N = 13, LD = 15 };
    double *A = random_d(a, K * LD, 4), *C = random_d(a, N * LD, 5), *was = random_d(a, N * LD, 5);
    float *sA = LB_NEW(a, float, K *LD), *sC = LB_NEW(a, float, N *LD);
    for (int i = 0; i < K * LD; i++) sA[i] = (float)A[i];
    for (int i = 0; i < N * LD; i++) sC[i] = (float)was[i];
    lb_dsyrk_t(0.25, (lb_cdmat){A, K, N, LD}, 3, (lb_dmat){C, N, N, LD});
    lb_ssyrk_t(0.25f, (lb_cmat){sA, K, N, LD}, 3, (lb_mat){sC, N, N, LD});
    for (int i = 0; i < N; i++)
        for (int j = 0; j < LD; j++) {
            double want = was[i * LD + j];
            if (j >= i && j < N) {
                want *= 3;
                for (int k = 0; k < K; k++) want += 0.25 * A[k * LD + i] * A[k * LD + j];
            }
            assert_true(fabs(C[i * LD + j] - want) < 1e-13);
            assert_true(fabs((double)sC[i * LD + j] - want) < 2e-5);
        }
}

/* G (n, n) = XᵀX / n + damp I in both triangles, X (n, n). */
static double *positive(lb_arena *a, int64_t n, double damp, uint64_t seed) {
    double *X = random_d(a, n * n, seed), *G = LB_NEW(a, double, n *n);
    assert_non_null(G);
    lb_dgemm(true, false, 1 / (double)n, (lb_cdmat){X, n, n, n}, (lb_cdmat){X, n, n, n}, 0, lb_dmat_of(G, n, n));
    for (int64_t i = 0; i < n; i++) G[i * n + i] += damp;
    return G;
}

static void cholesky_and_inverse(void **state) {
    lb_arena *a = *state;
    static const int64_t sizes[] = {1, 2, 5, 127, 128, 129, 300, 517}; /* below, at and above a tile, and several */
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t n = sizes[s], column = 99, ld = n + 2;
        double *G = positive(a, n, 0.5, 8), *L = LB_NEW(a, double, n *ld), *other = LB_NEW(a, double, n *ld),
               pivot = 99;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) L[i * ld + j] = j <= i ? G[i * n + j] : -7; /* the upper part is no input */
        memcpy(other, L, (size_t)(n * ld) * sizeof *L);
        assert_ok(lb_cholesky_lower((lb_dmat){L, n, n, ld}, NULL, &column, &pivot));
        assert_int_equal(column, -1);
        double *clean = LB_NEW(a, double, n *n), *back = LB_NEW(a, double, n *n), *inverse = LB_NEW(a, double, n *n);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                if (j > i)
                    assert_true(L[i * ld + j] == -7);
                else
                    clean[i * n + j] = L[i * ld + j];
            }
        lb_cdmat cL = {clean, n, n, n};
        lb_dgemm(false, true, 1, cL, cL, 0, lb_dmat_of(back, n, n));
        for (int64_t i = 0; i < n * n; i++) assert_true(fabs(back[i] - G[i]) < 1e-12);
        assert_ok(lb_invert_lower((lb_dmat){L, n, n, ld}, NULL));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                if (j > i) assert_true(L[i * ld + j] == -7);
                inverse[i * n + j] = j <= i ? L[i * ld + j] : 0;
            }
        lb_dgemm(false, false, 1, (lb_cdmat){inverse, n, n, n}, cL, 0, lb_dmat_of(back, n, n));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) assert_true(fabs(back[i * n + j] - (i == j)) < 1e-11);
        lb_team *team; /* and the same bytes from three threads */
        assert_ok(lb_team_new(3, &team));
        assert_ok(lb_cholesky_lower((lb_dmat){other, n, n, ld}, team, NULL, NULL));
        assert_ok(lb_invert_lower((lb_dmat){other, n, n, ld}, team));
        assert_memory_equal(L, other, (size_t)(n * ld) * sizeof *L);
        lb_team_free(team);
    }
}

/* U of the reordered matrix: upper, positive diagonal, and UᵀU its inverse. Bytes do not depend on threads. */
static void inverse_factor(void **state) {
    lb_arena *a = *state;
    static const int64_t sizes[] = {1, 2, 3, 64, 65, 127, 128, 129, 130, 257, 300};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t n = sizes[s], ld = n + 3, position = 0;
        double *G = positive(a, n, 0.5, 12), *diag = LB_NEW(a, double, n), pivot = 0;
        double *U = LB_NEW(a, double, n *ld), *other = LB_NEW(a, double, n *ld), *A = LB_NEW(a, double, n *n);
        int32_t *perm = LB_NEW(a, int32_t, n);
        for (int64_t p = 0; p < n; p++) perm[p] = (int32_t)((p * 7 + 3) % n); /* 7 divides no size: an order */
        for (int64_t i = 0; i < n; i++) diag[i] = G[i * n + i] + 0.1 * (double)(i % 3);
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = 0; q < n; q++) A[p * n + q] = p == q ? diag[perm[p]] : G[perm[p] * n + perm[q]];
        lb_cdmat H = {G, n, n, n};
        assert_ok(lb_inverse_factor(H, diag, perm, (lb_dmat){U, n, n, ld}, NULL, &position, &pivot));
        lb_team *team;
        assert_ok(lb_team_new(3, &team));
        assert_ok(lb_inverse_factor(H, diag, perm, (lb_dmat){other, n, n, ld}, team, NULL, NULL));
        lb_team_free(team);
        double *upper = LB_NEW(a, double, n *n), *inverse = LB_NEW(a, double, n *n), *one = LB_NEW(a, double, n *n);
        for (int64_t i = 0; i < n; i++) {
            assert_true(U[i * ld + i] > 0);
            for (int64_t j = i; j < n; j++) {
                assert_true(U[i * ld + j] == other[i * ld + j]);
                upper[i * n + j] = U[i * ld + j];
            }
        }
        lb_cdmat u = {upper, n, n, n};
        lb_dgemm(true, false, 1, u, u, 0, lb_dmat_of(inverse, n, n));
        lb_dgemm(false, false, 1, (lb_cdmat){A, n, n, n}, (lb_cdmat){inverse, n, n, n}, 0, lb_dmat_of(one, n, n));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) assert_true(fabs(one[i * n + j] - (i == j)) < 1e-10);
        diag[perm[n / 2]] = -1; /* positions are eliminated from the last to the first */
        assert_int_equal(lb_inverse_factor(H, diag, perm, (lb_dmat){U, n, n, ld}, NULL, &position, &pivot),
                         LB_E_NUMERIC);
        assert_int_equal(position, n / 2);
        assert_true(pivot < -1 + 1e-12);
    }
}

/* The pivot of column c is what is left of the diagonal after eliminating the columns before it: known by design. */
static void cholesky_names_column_and_pivot(void **state) {
    lb_arena *a = *state;
    static const int64_t cases[][2] = {{1, 0}, {5, 3}, {100, 0}, {300, 77}, {300, 299}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int64_t n = cases[k][0], c = cases[k][1], column = -2;
        double *G = positive(a, n, 0.5, 9), *U = LB_NEW(a, double, n *n), pivot = 0;
        memcpy(U, G, (size_t)(n * n) * sizeof *U);
        assert_ok(lb_cholesky_lower(lb_dmat_of(U, n, n), NULL, NULL, NULL));
        double was = U[c * n + c] * U[c * n + c], lower = was + 0.125;
        G[c * n + c] -= lower; /* so the pivot becomes -0.125 */
        assert_int_equal(lb_cholesky_lower(lb_dmat_of(G, n, n), NULL, &column, &pivot), LB_E_NUMERIC);
        assert_int_equal(column, c);
        assert_true(fabs(pivot + 0.125) < 1e-9);
        char want[64];
        snprintf(want, sizeof want, "column %d of %d (pivot -0.125)", (int)c, (int)n);
        assert_error_has(want);
    }
    double nan[4] = {1, 0, 0, NAN}, zero[4] = {1, 1, 1, 1}, inf[1] = {INFINITY}, pivot;
    int64_t column;
    assert_int_equal(lb_cholesky_lower(lb_dmat_of(nan, 2, 2), NULL, &column, &pivot), LB_E_NUMERIC);
    assert_true(column == 1 && isnan(pivot));
    assert_int_equal(lb_cholesky_lower(lb_dmat_of(zero, 2, 2), NULL, &column, &pivot), LB_E_NUMERIC);
    assert_true(column == 1 && pivot == 0);
    assert_int_equal(lb_cholesky_lower(lb_dmat_of(inf, 1, 1), NULL, &column, &pivot), LB_E_NUMERIC);
    assert_int_equal(column, 0);
    double singular[4] = {1, 0, 1, 0};
    assert_status(LB_E_NUMERIC, lb_invert_lower(lb_dmat_of(singular, 2, 2), NULL));
    assert_error_has("column 1 of 2");
}

static void one_thread(void **state) {
    (void)state;
    assert_int_equal(lb_blas_threads(), 1);
    assert_non_null(strstr(lb_blas_config(), "OpenBLAS"));
    assert_true(strlen(lb_blas_core()) > 0);
}

static int start(void **state) {
    lb_arena *a;
    if (lb_blas_init(1) != LB_OK) return 1;
    if (lb_arena_new(0, &a) != LB_OK) return -1;
    *state = a;
    return 0;
}

static int stop(void **state) {
    lb_arena_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm),
        cmocka_unit_test(over_a_team),
        cmocka_unit_test(beta_zero_does_not_read),
        cmocka_unit_test(syrk_fills_the_upper_triangle),
        cmocka_unit_test(cholesky_and_inverse),
        cmocka_unit_test(inverse_factor),
        cmocka_unit_test(cholesky_names_column_and_pivot),
        cmocka_unit_test(one_thread),
    };
    return cmocka_run_group_tests_name("math/blas", tests, start, stop);
}
