/* The same bytes at any number of threads: pieces over shapes, kernels and BLAS inside. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/team.h"
#include "math/blas.h"
#include "math/kernels.h"

enum { ROWS = 67, COLS = 130, TILE = 16 };

typedef struct job {
    const float *x;    /* (ROWS, COLS) */
    float *y;          /* (ROWS, COLS): softmax of each row of x, times Xᵀ X */
    float *soft;       /* (ROWS, COLS) */
    const float *gram; /* (COLS, COLS) */
    double *sums;      /* (pieces) */
} job;

/* A piece is a tile of rows, whoever computes it. */
static lb_status softmax_times_gram(void *ctx, int64_t piece, int worker) {
    job *j = ctx;
    (void)worker;
    const lb_kernels *k = lb_kernels_active();
    int64_t r0 = piece * TILE, rows = ROWS - r0 < TILE ? ROWS - r0 : TILE;
    j->sums[piece] = 0;
    for (int64_t r = r0; r < r0 + rows; r++) {
        const float *x = j->x + r * COLS;
        double sum = k->exp_sum(j->soft + r * COLS, x, k->max(x, COLS), COLS);
        k->scale(j->soft + r * COLS, (float)(1 / sum), COLS);
        j->sums[piece] += log(sum);
    }
    lb_sgemm(false, false, 1, lb_cmat_of(j->soft + r0 * COLS, rows, COLS), lb_cmat_of(j->gram, COLS, COLS), 0,
             lb_mat_of(j->y + r0 * COLS, rows, COLS));
    return LB_OK;
}

static void softmax_tiles(void **state) {
    (void)state;
    enum { PIECES = (ROWS + TILE - 1) / TILE };
    static float x[ROWS * COLS], y[2][ROWS * COLS], soft[2][ROWS * COLS], gram[COLS * COLS];
    double sums[2][PIECES];
    lb_rng r = lb_rng_make(5, 0);
    for (int i = 0; i < ROWS * COLS; i++) x[i] = (float)lb_rng_normal(&r);
    for (int i = 0; i < COLS * COLS; i++) gram[i] = (float)lb_rng_normal(&r);
    for (int threads = 1; threads <= 8; threads++)
        for (int round = 0; round < 10; round++) {
            int w = threads > 1;
            lb_team *t;
            job j = {x, y[w], soft[w], gram, sums[w]};
            memset(y[w], 0xff, sizeof y[w]);
            assert_ok(lb_team_new(threads, &t));
            assert_ok(lb_parallel_for(t, PIECES, softmax_times_gram, &j));
            lb_team_free(t);
            assert_memory_equal(y[0], y[w], sizeof y[0]);
            assert_memory_equal(sums[0], sums[w], sizeof sums[0]);
        }
    for (int i = 0; i < ROWS * COLS; i++) assert_true(isfinite(y[0][i]));
}

/* Random numbers of a piece come from its own stream. */
static lb_status draw(void *ctx, int64_t piece, int worker) {
    (void)worker;
    lb_rng r = lb_rng_make(9, (uint64_t)piece);
    double *out = ctx;
    for (int i = 0; i < 50; i++) out[piece] += lb_rng_normal(&r);
    return LB_OK;
}

static void random_pieces(void **state) {
    (void)state;
    enum { N = 300 };
    double want[N] = {0};
    assert_ok(lb_parallel_for(NULL, N, draw, want));
    for (int threads = 2; threads <= 8; threads += 3) {
        double got[N] = {0};
        lb_team *t;
        assert_ok(lb_team_new(threads, &t));
        assert_ok(lb_parallel_for(t, N, draw, got));
        assert_memory_equal(got, want, sizeof want);
        lb_team_free(t);
    }
    assert_true(want[0] != want[1]);
}

/* A kernel gives the same sum wherever its array starts: lanes go by index, not by address. */
static void any_alignment(void **state) {
    (void)state;
    static float x[16 + 999], y[16 + 999];
    static const char *const names[] = {"plain", "avx2", "avx512"};
    for (int v = 0; v < 3; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        double dot = 0, sum = 0;
        if (!k) continue;
        for (int at = 0; at < 16; at++) {
            lb_rng r = lb_rng_make(3, 3);
            for (int i = 0; i < 999; i++) {
                x[at + i] = (float)lb_rng_normal(&r);
                y[at + i] = (float)lb_rng_normal(&r);
            }
            double d = k->dot(x + at, y + at, 999), s = k->sum_exp(x + at, 0, 999);
            assert_true(at == 0 || (d == dot && s == sum));
            dot = d;
            sum = s;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(softmax_tiles), cmocka_unit_test(random_pieces),
                                       cmocka_unit_test(any_alignment)};
    if (lb_blas_init(1) != LB_OK) return 1;
    return cmocka_run_group_tests_name("same bytes at any thread count", tests, NULL, NULL);
}
