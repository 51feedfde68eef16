/* Input transforms against matrices written out: Hadamard by Sylvester's recursion, block-diagonal, in float64. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/team.h"
#include "quant/transform.h"

enum { MOST = 96, LD = MOST + 3 };

/* H_2n = [H_n H_n; H_n -H_n]. */
static double sylvester(int64_t n, int64_t i, int64_t j) {
    if (n == 1) return 1;
    int64_t half = n / 2;
    double v = sylvester(half, i % half, j % half);
    return i >= half && j >= half ? -v : v;
}

typedef struct change {
    lb_transform t;
    float scale[MOST];
    uint8_t sign[(MOST + 7) / 8];
    double T[MOST][MOST], back[MOST][MOST]; /* T and its inverse */
} change;

static void make(change *x, uint64_t seed, int64_t cols, bool scale, int64_t hadamard, bool sign) {
    lb_rng rng = lb_rng_make(seed, 5);
    *x = (change){0};
    for (int64_t c = 0; c < cols; c++) {
        x->scale[c] = (float)exp(lb_rng_normal(&rng)) * (c % 5 == 3 ? -1.0f : 1.0f);
        if (lb_rng_uniform(&rng) < 0.5) x->sign[c / 8] |= (uint8_t)(1 << c % 8);
    }
    x->t = (lb_transform){scale ? x->scale : NULL, hadamard, sign ? x->sign : NULL};
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j < cols; j++) {
            double had = hadamard == 0 ? i == j
                         : i / hadamard != j / hadamard
                             ? 0
                             : sylvester(hadamard, i % hadamard, j % hadamard) / sqrt((double)hadamard);
            double d = (scale ? (double)x->scale[j] : 1) * (sign && x->sign[j / 8] >> j % 8 & 1 ? -1 : 1);
            x->T[i][j] = had * d;
            x->back[j][i] = had / d;
        }
}

static void fill(float *d, int64_t rows, uint64_t seed) {
    lb_rng rng = lb_rng_make(seed, 6);
    for (int64_t i = 0; i < rows * LD; i++) d[i] = (float)lb_rng_normal(&rng);
}

/* Row r of x times the transpose of M (cols, cols), or M itself. */
static double times(const float *x, double M[MOST][MOST], bool transposed, int64_t cols, int64_t i) {
    double sum = 0;
    for (int64_t j = 0; j < cols; j++) sum += (double)x[j] * (transposed ? M[i][j] : M[j][i]);
    return sum;
}

static void close_to(double got, double want, double size, const char *what) {
    if (!(fabs(got - want) <= 2e-6 * size)) fail_msg("%s: %.9g, expected %.9g", what, got, want);
}

static double norm(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static void check_rows(const change *k, int64_t cols) {
    enum { R = 5 };
    static float x[R * LD], y[R * LD], w[R * LD], v[R * LD];
    change *c = (change *)(uintptr_t)k;
    fill(x, R, 1);
    fill(w, R, 2);
    memcpy(y, x, sizeof y);
    memcpy(v, w, sizeof v);
    lb_transform_input(&k->t, (lb_cmat){x, R, cols, LD}, (lb_mat){y, R, cols, LD});
    for (int64_t r = 0; r < R; r++) {
        double most = 10 * norm(x + r * LD, cols);
        for (int64_t i = 0; i < cols; i++)
            close_to((double)y[r * LD + i], times(x + r * LD, c->T, true, cols, i), most, "T x");
        assert_memory_equal(y + r * LD + cols, x + r * LD + cols, (size_t)(LD - cols) * sizeof *y);
    }
    lb_transform_input(&k->t, (lb_cmat){x, R, cols, LD}, (lb_mat){x, R, cols, LD});
    assert_memory_equal(x, y, sizeof x);
    lb_transform_weights(&k->t, (lb_mat){v, R, cols, LD});
    for (int64_t r = 0; r < R; r++)
        for (int64_t i = 0; i < cols; i++)
            close_to((double)v[r * LD + i], times(w + r * LD, c->back, false, cols, i), 40 * norm(w + r * LD, cols),
                     "W T^-1");
    fill(x, R, 1);
    for (int64_t r = 0; r < R; r++) { /* W x = (W T^-1) (T x) */
        double want = 0, got = 0;
        for (int64_t i = 0; i < cols; i++) {
            want += (double)w[r * LD + i] * (double)x[r * LD + i];
            got += (double)v[r * LD + i] * (double)y[r * LD + i];
        }
        close_to(got, want, norm(v + r * LD, cols) * norm(y + r * LD, cols), "W x");
    }
    lb_transform_weights_back(&k->t, (lb_mat){v, R, cols, LD});
    for (int64_t r = 0; r < R; r++)
        for (int64_t i = 0; i < cols; i++)
            close_to((double)v[r * LD + i], (double)w[r * LD + i], 40 * norm(w + r * LD, cols), "W T^-1 T");
}

static void check_hessian(const change *k, int64_t cols) {
    static double H[MOST * LD], got[MOST * LD], again[MOST * LD];
    lb_rng rng = lb_rng_make(9, 1);
    lb_team *team;
    memset(H, 0, sizeof H);
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j <= i; j++) H[i * LD + j] = H[j * LD + i] = lb_rng_normal(&rng);
    memcpy(got, H, sizeof H);
    memcpy(again, H, sizeof H);
    assert_ok(lb_transform_hessian(&k->t, (lb_dmat){got, cols, cols, LD}, NULL));
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j < cols; j++) {
            double want = 0, size = 0;
            for (int64_t a = 0; a < cols; a++)
                for (int64_t b = 0; b < cols; b++) {
                    double term = k->T[i][a] * H[a * LD + b] * k->T[j][b];
                    want += term;
                    size += fabs(term);
                }
            if (!(fabs(got[i * LD + j] - want) <= 1e-13 * size))
                fail_msg("H: %.17g, expected %.17g", got[i * LD + j], want);
            assert_true(got[i * LD + j] == got[j * LD + i]);
        }
    assert_ok(lb_team_new(3, &team));
    assert_ok(lb_transform_hessian(&k->t, (lb_dmat){again, cols, cols, LD}, team));
    assert_memory_equal(again, got, sizeof got);
    lb_team_free(team);
}

static void each(void (*check)(const change *, int64_t)) {
    static const struct {
        int64_t cols, hadamard;
    } shape[] = {{1, 0}, {2, 2}, {12, 4}, {64, 64}, {64, 8}, {96, 32}, {37, 0}, {40, 2}};
    static change c;
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++)
        for (int how = 0; how < 4; how++) {
            make(&c, 100 * i + (uint64_t)how, shape[i].cols, how & 1, shape[i].hadamard, how & 2);
            assert_true(lb_transform_any(&c.t) == (how != 0 || shape[i].hadamard > 0));
            check(&c, shape[i].cols);
        }
}

static void rows_of_inputs_and_weights(void **state) {
    (void)state;
    each(check_rows);
}

static void hessians(void **state) {
    (void)state;
    each(check_hessian);
}

/* By hand: scale, then sign, then Hadamard. */
static void by_hand(void **state) {
    (void)state;
    const float scale[4] = {1, 2, 3, 4}, x[4] = {5, 6, 7, 8};
    const uint8_t sign[1] = {1 << 1};
    float y[4];
    lb_transform t = {scale, 2, sign};
    lb_transform_input(&t, lb_cmat_of(x, 1, 4), lb_mat_of(y, 1, 4));
    double want[4] = {(5 - 12) / sqrt(2), (5 + 12) / sqrt(2), (21 + 32) / sqrt(2), (21 - 32) / sqrt(2)};
    for (int i = 0; i < 4; i++) close_to((double)y[i], want[i], 30, "by hand");
}

static void which_are_the_same(void **state) {
    (void)state;
    const float a[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, b[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9},
                c[9] = {1, 2, 3, 4, 5, 6, 7, 8, 1};
    const uint8_t s[2] = {3, 1}, o[2] = {3, 0};
    lb_transform t = {a, 0, s};
    assert_true(lb_transform_same(&t, &(lb_transform){b, 0, s}, 9));
    assert_false(lb_transform_same(&t, &(lb_transform){c, 0, s}, 9));
    assert_true(lb_transform_same(&t, &(lb_transform){c, 0, s}, 8));
    assert_false(lb_transform_same(&t, &(lb_transform){a, 0, o}, 9));
    assert_false(lb_transform_same(&t, &(lb_transform){a, 0, NULL}, 9));
    assert_false(lb_transform_same(&t, &(lb_transform){NULL, 0, s}, 9));
    assert_false(lb_transform_same(&t, &(lb_transform){a, 2, s}, 9));
    assert_true(lb_transform_same(&(lb_transform){0}, &(lb_transform){0}, 9));
    assert_true(lb_transform_hadamard_fits(0, 7) && lb_transform_hadamard_fits(2, 6));
    assert_false(lb_transform_hadamard_fits(1, 6) || lb_transform_hadamard_fits(4, 6) ||
                 lb_transform_hadamard_fits(6, 6) || lb_transform_hadamard_fits(-2, 6) ||
                 lb_transform_hadamard_fits(INT64_MIN, 6));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_inputs_and_weights), cmocka_unit_test(hessians),
                                       cmocka_unit_test(by_hand), cmocka_unit_test(which_are_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
