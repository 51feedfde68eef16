/* Hessians and layer errors against plain loops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "eval/hessian.h"
#include "eval/layer_error.h"
#include "math/blas.h"
#include "support/quant_kit.h"

static lb_hessian hessian_of(const kit *k, lb_mat X, int64_t sequences) {
    lb_hessian h;
    assert_int_equal(lb_hessian_new(k->arena, X.cols, &h), LB_OK);
    assert_int_equal(lb_hessian_add(&h, lb_mat_c(X), sequences, k->team), LB_OK);
    assert_int_equal(lb_hessian_finish(&h, k->team), LB_OK);
    return h;
}

/* float32 sums over chunks of 2048: |error| <= c sqrt(k) eps sqrt(Hii Hjj) with a few eps to spare. */
static void hessian_is_the_product(void **state) {
    (void)state;
    static const int64_t shape[][2] = {{1, 1}, {3, 5}, {70, 192}, {33, 193}, {4500, 20}, {2048, 7}};
    for (size_t n = 0; n < sizeof shape / sizeof shape[0]; n++) {
        kit k = kit_open(2);
        int64_t tokens = shape[n][0], cols = shape[n][1];
        lb_mat X = kit_random(&k, n, tokens, cols + 3);
        X.cols = cols; /* rows with a gap behind them */
        lb_hessian h = hessian_of(&k, X, 1);
        assert_int_equal(h.tokens, tokens);
        for (int64_t i = 0; i < cols; i++)
            for (int64_t j = 0; j < cols; j++) {
                double sum = 0, ii = h.H.d[i * cols + i], jj = h.H.d[j * cols + j];
                for (int64_t t = 0; t < tokens; t++) sum += (double)X.d[t * X.ld + i] * (double)X.d[t * X.ld + j];
                assert_true(fabs(h.H.d[i * cols + j] - sum / (double)tokens) <= 4e-6 * sqrt(ii * jj));
                assert_true(h.H.d[i * cols + j] == h.H.d[j * cols + i]);
            }
        kit_close(&k);
    }
}

static void hessian_adds_up(void **state) {
    (void)state;
    kit one = kit_open(1), four = kit_open(4);
    lb_mat X = kit_random(&one, 5, 4096 + 300, 400);
    lb_hessian whole = hessian_of(&one, X, 3), threads = hessian_of(&four, X, 3), parts;
    assert_memory_equal(whole.H.d, threads.H.d, 400 * 400 * sizeof(double));
    /* in two calls, cut where a chunk ends */
    assert_int_equal(lb_hessian_new(one.arena, 400, &parts), LB_OK);
    assert_int_equal(lb_hessian_add(&parts, lb_mat_c(lb_mat_part(X, 0, 0, 2048, 400)), 1, one.team), LB_OK);
    assert_int_equal(lb_hessian_add(&parts, lb_mat_c(lb_mat_part(X, 2048, 0, 2348, 400)), 2, one.team), LB_OK);
    assert_int_equal(lb_hessian_finish(&parts, NULL), LB_OK);
    assert_memory_equal(whole.H.d, parts.H.d, 400 * 400 * sizeof(double));
    assert_int_equal(parts.sequences, 3);
    kit_close(&one);
    kit_close(&four);
}

static void hessian_refuses(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_hessian h;
    lb_mat X = kit_random(&k, 1, 4, 6);
    assert_int_equal(lb_hessian_new(k.arena, 0, &h), LB_E_ARG);
    assert_int_equal(lb_hessian_new(k.arena, 6, &h), LB_OK);
    assert_int_equal(lb_hessian_finish(&h, NULL), LB_E_ARG);
    assert_int_equal(lb_hessian_add(&h, lb_mat_c(lb_mat_part(X, 0, 0, 4, 5)), 1, k.team), LB_E_ARG);
    X.d[3] = INFINITY;
    assert_int_equal(lb_hessian_add(&h, lb_mat_c(X), 1, k.team), LB_OK);
    assert_int_equal(lb_hessian_finish(&h, NULL), LB_E_NUMERIC);
    assert_error_has("inputs 0 and 3");
    lb_alloc_fail_at(1);
    assert_int_equal(lb_hessian_add(&h, lb_mat_c(X), 1, k.team), LB_E_NOMEM);
    lb_alloc_fail_at(0);
    kit_close(&k);
}

static void layer_errors_are_the_definitions(void **state) {
    (void)state;
    static const int64_t shape[][2] = {{1, 1}, {31, 40}, {33, 256}, {70, 257}, {5, 600}};
    for (size_t n = 0; n < sizeof shape / sizeof shape[0]; n++) {
        kit one = kit_open(1), four = kit_open(4);
        int64_t rows = shape[n][0], cols = shape[n][1];
        lb_mat W = kit_random(&one, n, rows, cols), What = kit_random(&one, n + 50, rows, cols + 1);
        What.cols = cols;
        lb_stats stats = kit_stats(&one, n, 50, cols);
        double werr = 0, wen = 0, oerr = 0, oen = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < cols; i++) {
                double w = (double)W.d[r * cols + i], d = (double)What.d[r * What.ld + i] - w, hd = 0, hw = 0;
                for (int64_t j = 0; j < cols; j++) {
                    double wj = (double)W.d[r * cols + j];
                    hd += stats.H.d[i * cols + j] * ((double)What.d[r * What.ld + j] - wj);
                    hw += stats.H.d[i * cols + j] * wj;
                }
                werr += d * d, wen += w * w, oerr += d * hd, oen += w * hw;
            }
        lb_layer_error e, f, g;
        assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats.H, one.team, one.arena, &e), LB_OK);
        assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats.H, four.team, four.arena, &f), LB_OK);
        assert_memory_equal(&e, &f, sizeof e);
        assert_true(fabs(e.weight_err - werr) <= 1e-12 * werr && fabs(e.weight_energy - wen) <= 1e-12 * wen);
        assert_true(fabs(e.output_err - oerr) <= 1e-11 * oerr && fabs(e.output_energy - oen) <= 1e-11 * oen);
        assert_true(fabs(lb_output_mse(&e) - oerr / (double)rows) <= 1e-11 * oerr);
        assert_true(fabs(lb_weight_mse(&e) - werr / (double)(rows * cols)) <= 1e-12 * werr);
        assert_true(lb_output_rel(&e) == e.output_err / e.output_energy);
        assert_true(lb_weight_rel(&e) == e.weight_err / e.weight_energy);
        assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), (lb_cdmat){0}, one.team, one.arena, &g), LB_OK);
        assert_true(isnan(g.output_err) && isnan(g.output_energy) && g.weight_err == e.weight_err);
        /* Two forms under two H at once are each what it is alone. */
        lb_stats other = kit_stats(&one, n + 100, 70, cols);
        lb_cmat form[2] = {lb_mat_c(What), lb_mat_c(kit_random(&one, n + 150, rows, cols))};
        lb_cdmat H[2] = {other.H, stats.H};
        lb_layer_error both[4];
        assert_int_equal(lb_layer_errors(lb_mat_c(W), form, 2, H, 2, NULL, four.team, four.arena, both), LB_OK);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(lb_layer_error_of(lb_mat_c(W), form[i / 2], H[i % 2], one.team, one.arena, &f), LB_OK);
            assert_memory_equal(&both[i], &f, sizeof f);
        }
        assert_memory_equal(&both[1], &e, sizeof e);
        /* Energies that are known are taken over as they are, and the errors stay what they were. */
        lb_layer_error known[2] = {both[0], both[1]}, again[4];
        assert_int_equal(lb_layer_errors(lb_mat_c(W), form, 2, H, 2, known, four.team, four.arena, again), LB_OK);
        assert_memory_equal(again, both, sizeof both);
        known[1].output_energy = 7;
        assert_int_equal(lb_layer_errors(lb_mat_c(W), form, 2, H, 2, known, four.team, four.arena, again), LB_OK);
        assert_true(again[1].output_energy == 7 && again[3].output_energy == 7);
        assert_true(again[3].output_err == both[3].output_err && again[2].output_energy == both[2].output_energy);
        kit_close(&one);
        kit_close(&four);
    }
    assert_true(fabs(lb_sqnr_db(0.01) - 20) < 1e-12);
}

/* A layer of several strips is the sum of its rows. */
static void layer_errors_add_up(void **state) {
    (void)state;
    enum { ROWS = 1300, COLS = 1000, HALF = 650 };
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 40, ROWS, COLS), What = kit_random(&k, 41, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 42, 50, COLS);
    lb_layer_error whole, part[2];
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats.H, k.team, k.arena, &whole), LB_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lb_layer_error_of(lb_mat_c(lb_mat_part(W, i * HALF, 0, HALF, COLS)),
                                           lb_mat_c(lb_mat_part(What, i * HALF, 0, HALF, COLS)), stats.H, k.team,
                                           k.arena, &part[i]),
                         LB_OK);
    assert_true(fabs(whole.output_err / (part[0].output_err + part[1].output_err) - 1) < 1e-12);
    assert_true(fabs(whole.output_energy / (part[0].output_energy + part[1].output_energy) - 1) < 1e-12);
    assert_true(fabs(whole.weight_err / (part[0].weight_err + part[1].weight_err) - 1) < 1e-13);
    assert_true(fabs(whole.weight_energy / (part[0].weight_energy + part[1].weight_energy) - 1) < 1e-13);
    kit_close(&k);
}

static void layer_error_of_nothing(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 1, 4, 8), zero = lb_mat_of(LB_NEW(k.arena, float, 32), 4, 8);
    lb_stats stats = kit_stats(&k, 1, 20, 8);
    lb_layer_error e;
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(W), stats.H, k.team, k.arena, &e), LB_OK);
    assert_true(lb_output_rel(&e) == 0 && lb_weight_rel(&e) == 0 && isinf(lb_sqnr_db(0)));
    assert_int_equal(lb_layer_error_of(lb_mat_c(zero), lb_mat_c(zero), stats.H, k.team, k.arena, &e), LB_OK);
    assert_true(lb_output_rel(&e) == 0);
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(zero), stats.H, k.team, k.arena, &e), LB_OK);
    assert_true(lb_output_rel(&e) == 1 && lb_weight_rel(&e) == 1);
    zero.cols = 7;
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(zero), stats.H, k.team, k.arena, &e), LB_E_ARG);
    for (int64_t nth = 1;; nth++) {
        lb_arena *a = NULL;
        lb_alloc_fail_at(nth);
        lb_status st = lb_arena_new(64, &a);
        if (st == LB_OK) st = lb_layer_error_of(lb_mat_c(W), lb_mat_c(W), stats.H, k.team, a, &e);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        lb_arena_free(a);
        assert_int_equal(st, reached ? LB_E_NOMEM : LB_OK);
        if (!reached) break;
    }
    kit_close(&k);
}

/* NaN in a result says that nothing was measured, so what was measured must not be NaN, nor infinite. */
static void layer_error_of_no_numbers(void **state) {
    (void)state;
    static const float poison[] = {NAN, INFINITY, -INFINITY};
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 1, 4, 8), What = kit_random(&k, 2, 4, 8);
    lb_stats stats = kit_stats(&k, 1, 20, 8);
    lb_layer_error e;
    for (size_t i = 0; i < 3; i++) {
        float keep = What.d[13];
        What.d[13] = poison[i];
        assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats.H, k.team, k.arena, &e), LB_E_NUMERIC);
        assert_non_null(strstr(lb_error(), "weight error is "));
        assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), (lb_cdmat){0}, k.team, k.arena, &e),
                         LB_E_NUMERIC);
        What.d[13] = keep;
    }
    lb_dmat H = lb_dmat_of(LB_NEW(k.arena, double, 64), 8, 8);
    for (int i = 0; i < 64; i++) H.d[i] = i % 9 ? 0 : 1e308;
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), lb_dmat_c(H), k.team, k.arena, &e), LB_E_NUMERIC);
    assert_non_null(strstr(lb_error(), "output error is inf"));
    /* The largest floats are numbers, and so are their squares' sums. */
    for (int i = 0; i < 32; i++) What.d[i] = i % 2 ? 3e38f : -3e38f;
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats.H, k.team, k.arena, &e), LB_OK);
    assert_true(isfinite(lb_weight_mse(&e)) && isfinite(lb_output_mse(&e)));
    /* Nothing to compare with is not infinitely worse. */
    lb_layer_error none = {.output_err = 0};
    assert_true(isnan(lb_error_ratio(&e, &none)) && isnan(lb_error_ratio(&none, &none)));
    assert_true(lb_error_ratio(&e, &e) == 1 && lb_error_ratio(&none, &e) == 0);
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hessian_is_the_product),    cmocka_unit_test(hessian_adds_up),
        cmocka_unit_test(hessian_refuses),           cmocka_unit_test(layer_errors_are_the_definitions),
        cmocka_unit_test(layer_errors_add_up),       cmocka_unit_test(layer_error_of_nothing),
        cmocka_unit_test(layer_error_of_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
