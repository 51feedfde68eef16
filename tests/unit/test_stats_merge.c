/* Statistics of two inputs as of one that had the rows of both, one after the other: held to a collection of all rows,
 * whatever statistic it is. */
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval/collect.h"
#include "math/blas.h"

enum { COLS = 5, NEEDS = LB_NEEDS_STATISTICS };

/* Of rows [from, from + n). */
static lb_stats of(lb_arena *a, const float *X, int64_t from, int64_t n) {
    lb_collected *c = LB_NEW(a, lb_collected, 1);
    lb_collecting going;
    *c = (lb_collected){.cols = COLS, .needs = NEEDS};
    assert_ok(lb_collect_begin(a, a, c, 1, n ? n : 1, &going));
    lb_batch rows = {.X = lb_cmat_of(X + from * COLS, n, COLS), .sequences = 1};
    if (n) assert_ok(lb_collect_add(&going, &rows, NULL));
    assert_ok(lb_collect_finish(&going, NULL));
    return lb_collected_stats(c);
}

static void check(const lb_stats *sum, const lb_stats *all, bool same_rows) {
    assert_int_equal(sum->tokens, all->tokens);
    for (int64_t i = 0; i < COLS * COLS; i++) assert_true(fabs(sum->H.d[i] - all->H.d[i]) < 1e-6);
    for (int64_t c = 0; c < COLS; c++) {
        assert_true(sum->absmax[c] == all->absmax[c]);
        assert_true(fabs(sum->mean_abs[c] - all->mean_abs[c]) < 1e-12);
    }
    assert_true(sum->lo == all->lo && sum->hi == all->hi);
    assert_int_equal(sum->rows.rows, all->rows.rows);
    for (int64_t r = 0; r < all->rows.rows && same_rows; r++)
        assert_memory_equal(sum->rows.d + r * sum->rows.ld, all->rows.d + r * all->rows.ld, COLS * sizeof(float));
}

static float *random_rows(lb_arena *a, int64_t n) {
    float *X = LB_NEW(a, float, n *COLS);
    lb_rng g = lb_rng_make(3, 0);
    assert_non_null(X);
    for (int64_t i = 0; i < n * COLS; i++) X[i] = (float)lb_rng_normal(&g);
    return X;
}

static void of_different_lengths(void **state) {
    (void)state;
    /* where both are sampled at one step and end with it, the rows are the very ones */
    static const struct {
        int64_t n[3];
        bool same_rows;
    } inputs[] = {{{40, 100, 7}, true},
                  {{512, 512, 1024}, true},
                  {{300, 40, 900}, false},
                  {{0, 30, 0}, true},
                  {{4096, 1024, 3}, false}};
    for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++) {
        const int64_t *n = inputs[k].n;
        lb_arena *a;
        lb_stats sum = {0};
        int64_t at = 0, tokens = n[0] + n[1] + n[2];
        assert_ok(lb_arena_new(0, &a));
        float *X = random_rows(a, tokens);
        for (int i = 0; i < 3; at += n[i++]) {
            lb_stats one = of(a, X, at, n[i]);
            assert_ok(lb_stats_merge(a, NEEDS, COLS, &one, &sum));
        }
        lb_stats all = of(a, X, 0, tokens);
        check(&sum, &all, inputs[k].same_rows);
        assert_int_equal(sum.sequences, (n[0] > 0) + (n[1] > 0) + (n[2] > 0));
        lb_arena_free(a);
    }
}

/* Rows of an input count as many times as its tokens do, and come from where they stand. */
static void rows_by_their_tokens(void **state) {
    (void)state;
    lb_arena *a;
    lb_stats sum = {0};
    assert_ok(lb_arena_new(0, &a));
    float *X = LB_NEW(a, float, 4000 * COLS);
    for (int64_t t = 0; t < 4000; t++)
        for (int64_t c = 0; c < COLS; c++) X[t * COLS + c] = (float)t;
    lb_stats one = of(a, X, 0, 3000), two = of(a, X, 3000, 1000);
    assert_ok(lb_stats_merge(a, LB_NEEDS_ROWS, COLS, &one, &sum));
    assert_ok(lb_stats_merge(a, LB_NEEDS_ROWS, COLS, &two, &sum));
    assert_null(sum.H.d);
    assert_int_equal(sum.rows.rows, 500);
    for (int64_t r = 0; r < 500; r++) assert_true(fabsf(sum.rows.d[r * COLS] - (float)(r * 8 + 7)) <= 8);
    assert_true(sum.rows.d[374 * COLS] < 3000 && sum.rows.d[375 * COLS] >= 3000);
    lb_arena_free(a);
}

static void only_what_is_needed(void **state) {
    (void)state;
    lb_arena *a;
    lb_stats sum = {0};
    assert_ok(lb_arena_new(0, &a));
    lb_stats one = of(a, random_rows(a, 9), 0, 9);
    assert_ok(lb_stats_merge(a, LB_NEEDS_MEAN, COLS, &one, &sum));
    assert_true(!sum.H.d && !sum.absmax && sum.mean_abs && !sum.rows.d && sum.tokens == 9);
    assert_ptr_not_equal(sum.mean_abs, one.mean_abs);
    lb_arena_free(a);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_different_lengths), cmocka_unit_test(rows_by_their_tokens),
                                       cmocka_unit_test(only_what_is_needed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
