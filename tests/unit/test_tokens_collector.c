/* Who carries H, and H of tokens that count otherwise: collectors against numbers worked out by hand and plain loops,
 * whatever batches the rows come in. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "eval/collect.h"
#include "math/blas.h"
#include "support/quant_kit.h"
#include "support/support.h"

enum { NEEDS = LB_NEEDS_OF_HARNESS };

/* Batches one after another, of inputs of `cols` columns, at `threads` threads. */
static lb_stats collected(const kit *k, int64_t cols, const lb_batch *b, int n, int threads) {
    lb_collected *of = LB_NEW(k->arena, lb_collected, 1);
    lb_collecting sums;
    lb_team *team = NULL;
    assert_non_null(of);
    assert_ok(lb_team_new(threads, &team));
    *of = (lb_collected){.cols = cols, .needs = NEEDS};
    assert_ok(lb_collect_begin(k->arena, k->arena, of, 1, 20000, &sums));
    for (int i = 0; i < n; i++) assert_ok(lb_collect_add(&sums, &b[i], team));
    assert_ok(lb_collect_finish(&sums, team));
    lb_team_free(team);
    return lb_collected_stats(of);
}

static void near(double a, double b) {
    if (!(fabs(a - b) <= 1e-12 * (1 + fabs(b)))) fail_msg("%.17g, expected %.17g", a, b);
}

/* Rows with these lengths, each along a column of its own turn. */
static lb_cmat rows_of(const kit *k, const float *length, int64_t n, int64_t cols) {
    float *x = LB_NEW(k->arena, float, n *cols);
    assert_non_null(x);
    for (int64_t t = 0; t < n; t++) x[t * cols + t % cols] = length[t];
    return lb_cmat_of(x, n, cols);
}

static void by_hand(void **state) {
    (void)state;
    kit k = kit_open(1);
    float a[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, ones[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    /* All alike, two sequences of five: four of each five are among the first. */
    lb_stats s = collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 2, NULL, NULL, ones, 3}, 1, 1);
    near(s.participation, 1);
    near(s.first_share, 0.8);
    near(s.half_share, 0.5);
    /* Sequences of seven and three: four of the one and all of the other are. */
    static const int64_t start[] = {0, 7, 10};
    s = collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 2, start, NULL, ones, 3}, 1, 1);
    near(s.first_share, 0.7);
    /* Energies 9 and nine of 1: the sum is 18, that of squares 90, and one token has half. */
    a[7] = 3;
    s = collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 1, NULL, NULL, ones, 3}, 1, 1);
    near(s.participation, 18.0 * 18 / (10 * 90));
    near(s.first_share, 4.0 / 18);
    near(s.half_share, 0.1);
    /* One has it all, and is its sequence's first: where the rows say which tokens they are, that decides. */
    memset(a, 0, sizeof a);
    a[9] = 1e-20f;
    const int32_t position[10] = {4, 5, 6, 7, 8, 9, 10, 11, 12, 3};
    s = collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 1, NULL, position, ones, 3}, 1, 1);
    near(s.participation, 0.1);
    near(s.first_share, 1);
    near(s.half_share, 0.1);
    assert_true(collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 1, NULL, NULL, ones, 3}, 1, 1).first_share == 0);
    /* Nothing at all. */
    a[9] = 0;
    s = collected(&k, 3, &(lb_batch){rows_of(&k, a, 10, 3), 1, NULL, NULL, ones, 3}, 1, 1);
    assert_true(isnan(s.participation) && isnan(s.first_share) && isnan(s.half_share));
    for (int i = 0; i < 9; i++) assert_true(s.H_equal.d[i] == 0 && s.H_clip.d[i] == 0);
    kit_close(&k);
}

static void weighted(lb_cmat X, const double *w, double *H) {
    for (int64_t i = 0; i < X.cols; i++)
        for (int64_t j = 0; j < X.cols; j++) {
            double sum = 0;
            for (int64_t t = 0; t < X.rows; t++) sum += w[t] * (double)X.d[t * X.ld + i] * (double)X.d[t * X.ld + j];
            H[i * X.cols + j] = sum / (double)X.rows;
        }
}

static void close_to(lb_cdmat got, const double *want) {
    double most = 0, largest = 0;
    for (int64_t i = 0; i < got.rows * got.cols; i++) {
        most = fmax(most, fabs(got.d[i] - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    if (!(most <= 2e-6 * largest)) fail_msg("an H is off by %g of %g", most, largest);
}

/* Weights of a sequence's rows from their lengths. */
static void weigh(const double *norm, int64_t n, double clip, double *equal, double *clipped) {
    double median = 0;
    for (int64_t t = 0; t < n; t++) {
        int64_t less = 0, same = 0;
        for (int64_t u = 0; u < n; u++) less += norm[u] < norm[t], same += norm[u] == norm[t];
        if (less <= (n - 1) / 2 && (n - 1) / 2 < less + same) median = norm[t];
    }
    for (int64_t t = 0; t < n; t++) {
        equal[t] = norm[t] > 0 ? 1 / (norm[t] * norm[t]) : 0;
        clipped[t] = norm[t] > clip * median ? pow(clip * median / norm[t], 2) : 1;
    }
}

/* Random rows of very different lengths, in sequences of odd and even lengths. */
static void weights(void **state) {
    (void)state;
    static const int64_t lengths[] = {1, 2, 5, 64};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        enum { SEQUENCES = 3, COLS = 19 };
        kit k = kit_open(1);
        int64_t T = lengths[l], n = SEQUENCES * T;
        lb_mat X = kit_random(&k, 7 + l, n, COLS);
        double norm[SEQUENCES * 64], equal[SEQUENCES * 64], clipped[SEQUENCES * 64], received[SEQUENCES * 64];
        double want[COLS * COLS];
        float attention[SEQUENCES * 64];
        for (int64_t t = 0; t < n; t++) {
            double sum = 0;
            for (int64_t c = 0; c < COLS; c++) {
                X.d[t * X.ld + c] *= t % 5 == 1 ? 40.0f : t % 7 == 3 ? 0.0f : 1.0f;
                sum += (double)X.d[t * X.ld + c] * (double)X.d[t * X.ld + c];
            }
            norm[t] = sqrt(sum);
            attention[t] = 0.25f + (float)(t % 4);
            received[t] = (double)attention[t];
        }
        for (int64_t q = 0; q < SEQUENCES; q++) weigh(norm + q * T, T, 1.5, equal + q * T, clipped + q * T);
        lb_stats s = collected(&k, COLS, &(lb_batch){lb_mat_c(X), SEQUENCES, NULL, NULL, attention, 1.5}, 1, 1);
        weighted(lb_mat_c(X), equal, want);
        close_to(s.H_equal, want);
        weighted(lb_mat_c(X), clipped, want);
        close_to(s.H_clip, want);
        weighted(lb_mat_c(X), received, want);
        close_to(s.H_attention, want);
        kit_close(&k);
    }
}

/* The same bytes at any number of threads, with rows beyond a chunk; and with every sequence by itself where those end
 * with chunks. */
static void same_bytes(void **state) {
    (void)state;
    enum { ROWS = 4096 + 2048, COLS = 201 };
    kit k = kit_open(1);
    lb_mat X = kit_random(&k, 3, ROWS, COLS);
    float *attention = LB_NEW(k.arena, float, ROWS);
    assert_non_null(attention);
    for (int t = 0; t < ROWS; t++) attention[t] = (float)(t % 3);
    lb_batch all = {lb_mat_c(X), 3, NULL, NULL, attention, 1.0};
    lb_stats once = collected(&k, COLS, &all, 1, 1);
    for (int way = 0; way < 4; way++) {
        lb_batch each[3];
        for (int i = 0; i < 3; i++)
            each[i] =
                (lb_batch){lb_mat_c(lb_mat_part(X, 2048 * i, 0, 2048, COLS)), 1, NULL, NULL, attention + 2048 * i, 1.0};
        lb_stats again = way < 3 ? collected(&k, COLS, &all, 1, way + 1) : collected(&k, COLS, each, 3, 2);
        const lb_cdmat a[] = {once.H_equal, once.H_clip, once.H_attention};
        const lb_cdmat b[] = {again.H_equal, again.H_clip, again.H_attention};
        for (int h = 0; h < 3; h++) assert_memory_equal(a[h].d, b[h].d, COLS * COLS * sizeof(double));
        assert_true(once.participation == again.participation && once.half_share == again.half_share);
        assert_true(once.first_share == again.first_share);
    }
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(weights),
                                       cmocka_unit_test(same_bytes)};
    return cmocka_run_group_tests_name("statistics of tokens", tests, NULL, NULL);
}
