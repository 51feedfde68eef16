/* Collectors against plain loops: every statistic, of rows that come in pieces of any size, at any number of threads.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "eval/collect.h"
#include "math/blas.h"
#include "support/quant_kit.h"
#include "support/support.h"

enum { INPUTS = 4, MOST_ROWS = 5000, ALL = LB_NEEDS_STATISTICS | LB_NEEDS_OF_HARNESS };
static const int64_t width[INPUTS] = {1, 37, 300, 513};
static float attention[MOST_ROWS]; /* of each row, the same of all inputs */

static const uint32_t others = LB_NEEDS_ABSMAX | LB_NEEDS_MEAN | LB_NEEDS_RANGE | LB_NEEDS_ROWS;

static lb_team *team_of(int threads) {
    lb_team *t = NULL;
    assert_ok(lb_team_new(threads, &t));
    return t;
}

/* Rows of all inputs, in pieces whose sizes come from the seed (0: all at once), into out. */
static void collect(const kit *k, const lb_mat *X, uint32_t needs, uint64_t pieces, lb_team *team, lb_stats *out) {
    lb_collected of[INPUTS];
    lb_collecting sums;
    lb_rng r = lb_rng_make(pieces, 1);
    int64_t rows = X[0].rows;
    for (int i = 0; i < INPUTS; i++) of[i] = (lb_collected){.cols = width[i], .needs = needs};
    assert_ok(lb_collect_begin(k->arena, k->arena, of, INPUTS, rows, &sums));
    for (int64_t at = 0, n; at < rows; at += n) {
        lb_batch part[INPUTS];
        n = pieces ? 1 + (int64_t)lb_rng_below(&r, 700) : rows;
        if (n > rows - at) n = rows - at;
        for (int i = 0; i < INPUTS; i++)
            part[i] = (lb_batch){.X = lb_mat_c(lb_mat_part(X[i], at, 0, n, width[i])),
                                 .sequences = 1,
                                 .attention = attention + at,
                                 .clip = 3};
        assert_ok(lb_collect_add(&sums, part, team));
    }
    assert_ok(lb_collect_finish(&sums, team));
    for (int i = 0; i < INPUTS; i++) out[i] = lb_collected_stats(&of[i]);
}

static void check_channels(lb_mat X, const lb_stats *s) {
    float lo = X.d[0], hi = X.d[0];
    for (int64_t c = 0; c < X.cols; c++) {
        double sum = 0;
        float most = 0;
        for (int64_t t = 0; t < X.rows; t++) {
            float x = X.d[t * X.ld + c];
            sum += fabs((double)x);
            most = fmaxf(most, fabsf(x));
            lo = fminf(lo, x);
            hi = fmaxf(hi, x);
        }
        assert_true(s->absmax[c] == most);
        assert_true(s->mean_abs[c] == sum / (double)X.rows); /* in this order, in float64: every bit */
    }
    assert_true(s->lo == lo && s->hi == hi);
}

/* The last of every `step` tokens. */
static void check_rows(lb_mat X, const lb_stats *s) {
    int64_t step = 1, n = 0;
    while (X.rows / step > LB_SAMPLED_ROWS) step *= 2;
    for (int64_t t = 0; t < X.rows; t++) {
        if ((t + 1) % step) continue;
        assert_in_range(n, 0, s->rows.rows - 1);
        assert_memory_equal(s->rows.d + n++ * s->rows.ld, X.d + t * X.ld, (size_t)X.cols * sizeof *X.d);
    }
    assert_int_equal(s->rows.rows, n);
    assert_int_equal(s->rows.cols, X.cols);
    assert_true(n <= LB_SAMPLED_ROWS && (n > LB_SAMPLED_ROWS / 2 || n == X.rows || X.rows == LB_SAMPLED_ROWS + 1));
}

static void same(const lb_stats *a, const lb_stats *b, int64_t cols) {
    size_t n = (size_t)cols;
    assert_int_equal(a->tokens, b->tokens);
    assert_memory_equal(a->absmax, b->absmax, n * sizeof(float));
    assert_memory_equal(a->mean_abs, b->mean_abs, n * sizeof(double));
    assert_memory_equal(&a->lo, &b->lo, sizeof(float));
    assert_memory_equal(&a->hi, &b->hi, sizeof(float));
    assert_int_equal(a->rows.rows, b->rows.rows);
    assert_memory_equal(a->rows.d, b->rows.d, (size_t)a->rows.rows * n * sizeof(float));
}

static void sums(void **state) {
    (void)state;
    static const int64_t tokens[] = {1, 2, 511, 512, 513, 1023, 1024, 1025, 5000};
    for (size_t n = 0; n < sizeof tokens / sizeof tokens[0]; n++) {
        kit k = kit_open(1);
        lb_mat X[INPUTS];
        lb_stats once[INPUTS];
        for (int i = 0; i < INPUTS; i++) X[i] = kit_random(&k, (uint64_t)(10 * (int)n + i), tokens[n], width[i]);
        collect(&k, X, others, 0, NULL, once);
        for (int i = 0; i < INPUTS; i++) {
            assert_int_equal(once[i].tokens, tokens[n]);
            assert_int_equal(once[i].sequences, 1);
            assert_null(once[i].H.d); /* was not asked for */
            check_channels(X[i], &once[i]);
            check_rows(X[i], &once[i]);
        }
        for (int threads = 1; threads <= 5; threads += 2) {
            lb_team *team = team_of(threads);
            lb_stats again[INPUTS];
            collect(&k, X, others, (uint64_t)threads, team, again);
            for (int i = 0; i < INPUTS; i++) same(&once[i], &again[i], width[i]);
            lb_team_free(team);
        }
        kit_close(&k);
    }
}

/* Each alone: its field, and no other. */
static void what_is_asked_for(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_mat X[INPUTS];
    lb_stats all[INPUTS];
    for (int i = 0; i < INPUTS; i++) X[i] = kit_random(&k, (uint64_t)i, 700, width[i]);
    collect(&k, X, ALL, 3, k.team, all);
    for (int c = 0; lb_collectors[c]; c++) {
        lb_stats one[INPUTS];
        uint32_t need = lb_collectors[c]->need;
        assert_true(need & ALL);
        collect(&k, X, need, 3, k.team, one);
        for (int i = 0; i < INPUTS; i++) {
            lb_stats want = lb_stats_only(&all[i], need);
            const lb_cdmat H[] = {one[i].H, one[i].H_equal, one[i].H_clip, one[i].H_attention};
            const lb_cdmat of_all[] = {want.H, want.H_equal, want.H_clip, want.H_attention};
            int fields = (one[i].absmax != NULL) + (one[i].mean_abs != NULL) + (one[i].lo < 0 || one[i].hi > 0) +
                         (one[i].rows.d != NULL) + (one[i].participation > 0);
            for (int h = 0; h < 4; h++) fields += H[h].d != NULL;
            assert_int_equal(fields, 1);
            assert_true(!want.absmax == !one[i].absmax && !want.mean_abs == !one[i].mean_abs);
            assert_true(!want.rows.d == !one[i].rows.d);
            assert_true(want.lo == one[i].lo && want.hi == one[i].hi);
            assert_true((want.participation > 0) == (one[i].participation > 0));
            for (int h = 0; h < 4; h++) {
                assert_true(!of_all[h].d == !H[h].d);
                if (H[h].d) assert_memory_equal(H[h].d, of_all[h].d, (size_t)(width[i] * width[i]) * sizeof(double));
            }
        }
    }
    uint32_t every = 0;
    for (int c = 0; lb_collectors[c]; c++) every |= lb_collectors[c]->need;
    assert_int_equal(every, ALL); /* none has no collector */
    kit_close(&k);
}

/* One number that is not finite, in any row, followed by any others, is noticed. */
static void not_finite(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int64_t at[] = {0, 1, 3, 7}; /* of 8 rows */
    for (int c = 0; lb_collectors[c]; c++)
        for (size_t v = 0; v < 3; v++)
            for (size_t r = 0; r < sizeof at / sizeof at[0]; r++) {
                kit k = kit_open(1);
                lb_mat X = kit_random(&k, 5, 8, 300);
                lb_collected of = {.cols = 300, .needs = lb_collectors[c]->need};
                lb_collecting sums;
                lb_batch part = {.X = lb_mat_c(X), .sequences = 1, .attention = attention, .clip = 3};
                X.d[at[r] * X.ld + 270] = bad[v];
                assert_ok(lb_collect_begin(k.arena, k.arena, &of, 1, 8, &sums));
                assert_ok(lb_collect_add(&sums, &part, NULL));
                assert_status(LB_E_NUMERIC, lb_collect_finish(&sums, NULL));
                assert_error_has("the activations are not finite");
                assert_error_has("270");
                kit_close(&k);
            }
}

/* An expert that no token reached. */
static void no_tokens(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_collected of = {.cols = 5, .needs = ALL};
    lb_collecting sums;
    lb_batch none = {0};
    assert_ok(lb_collect_begin(k.arena, k.arena, &of, 1, 100, &sums));
    assert_ok(lb_collect_add(&sums, &none, NULL));
    assert_ok(lb_collect_finish(&sums, NULL));
    lb_stats s = lb_collected_stats(&of);
    assert_int_equal(s.tokens, 0);
    assert_int_equal(s.sequences, 0);
    assert_int_equal(s.rows.rows, 0);
    assert_true(s.lo == 0 && s.hi == 0);
    for (int c = 0; c < 5; c++) assert_true(s.absmax[c] == 0 && s.mean_abs[c] == 0 && s.H.d[6 * c] == 0);
    assert_true(isnan(s.participation) && isnan(s.first_share) && isnan(s.half_share));
    assert_true(s.H_equal.d[0] == 0 && s.H_clip.d[0] == 0 && s.H_attention.d[0] == 0);
    kit_close(&k);
}

/* Numbers that no inputs give are found where they stand. */
static void first_bad(void **state) {
    (void)state;
    static const float not_float[] = {NAN, INFINITY, -INFINITY};
    for (int c = 0; lb_collectors[c]; c++) {
        const lb_collector *k = lb_collectors[c];
        double value = 0, doubles[6] = {1, 0, 0, 1, 0, 1}; /* a unit H of three, row by row */
        float floats[6] = {0, 1, 2, 3, 4, 5};
        bool wide = k->type == LB_SEALED_F64;
        int64_t n = k->need == LB_NEEDS_RANGE ? 2 : 6;
        void *numbers = wide ? (void *)doubles : floats;
        assert_int_equal(k->first_bad(numbers, n, 3, &value), -1);
        for (int i = 0; i < 3; i++) {
            double was = doubles[n - 1];
            doubles[n - 1] = (double)not_float[i];
            floats[n - 1] = not_float[i];
            /* A range is bad from its first number on if it ends before it begins. */
            assert_int_equal(k->first_bad(numbers, n, 3, &value), i == 2 && n == 2 ? 0 : n - 1);
            assert_true(n == 2 || (i == 0 ? isnan(value) : isinf(value)));
            doubles[n - 1] = was;
        }
        if (k->need & (LB_NEEDS_ABSMAX | LB_NEEDS_MEAN | LB_NEEDS_HESSIAN | LB_NEEDS_OF_HARNESS)) { /* negative */
            doubles[3] = -1;
            floats[3] = -1;
            assert_int_equal(k->first_bad(numbers, n, 3, &value), 3);
            assert_true(value == -1);
        }
        if (wide) { /* beyond float32 */
            doubles[3] = 1e39;
            assert_int_equal(k->first_bad(numbers, n, 3, &value), 3);
        }
    }
}

int main(void) {
    for (int t = 0; t < MOST_ROWS; t++) attention[t] = 0.1f + (float)(t % 7);
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums), cmocka_unit_test(what_is_asked_for),
                                       cmocka_unit_test(not_finite), cmocka_unit_test(no_tokens),
                                       cmocka_unit_test(first_bad)};
    return cmocka_run_group_tests_name("collectors", tests, NULL, NULL);
}
