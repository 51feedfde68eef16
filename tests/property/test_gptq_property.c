/* What must hold for GPTQ on any input, and that its fast solver does what its plain twin does. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/layer_error.h"
#include "math/blas.h"
#include "support/gptq_ref.h"
#include "support/quant_kit.h"

static double output_mse(const kit *k, lb_mat W, const lb_layer *c, const lb_stats *stats) {
    lb_layer_error e;
    lb_mat What = kit_dequantize(k, c);
    assert_int_equal(lb_layer_error_of(lb_mat_c(W), lb_mat_c(What), stats->H, k->team, k->arena, &e), LB_OK);
    return lb_output_mse(&e);
}

static void assert_same_layer(const lb_layer *a, const lb_layer *b) {
    int64_t scales = lb_storage_scales(&a->storage, a->rows, a->cols);
    assert_memory_equal(a->codes, b->codes, (size_t)(a->rows * a->cols));
    assert_memory_equal(a->scale, b->scale, (size_t)scales * sizeof(float));
    assert_int_equal(a->zero == NULL, b->zero == NULL);
    if (a->zero) assert_memory_equal(a->zero, b->zero, (size_t)scales * sizeof(float));
    assert_int_equal(a->order == NULL, b->order == NULL);
    if (a->order) assert_memory_equal(a->order, b->order, (size_t)a->cols * sizeof(int32_t));
}

/* With inputs that have nothing to do with each other no column can make up for another. */
static void identity_is_rtn(void **state) {
    (void)state;
    static const char *const options[] = {"bits=4", "bits=3 group=16", "bits=2 group=24 symmetric=true",
                                          "bits=5 group=tensor mse=true"};
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 1, 40, 200);
    double *H = LB_NEW(k.arena, double, 200 * 200);
    for (int i = 0; i < 200; i++) H[i * 201] = 0.7;
    lb_stats stats = {.H = {H, 200, 200, 200}, .tokens = 1000, .sequences = 4};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        lb_layer gptq = kit_run(&k, "gptq", options[i], W, &stats), rtn = kit_run(&k, "rtn", options[i], W, NULL);
        assert_same_layer(&gptq, &rtn);
    }
    kit_close(&k);
}

/* Not on every layer, but in sum and by a clear margin, on the undamped H that the errors are measured with. */
static void better_than_rtn(void **state) {
    (void)state;
    static const char *const options[] = {"bits=2 group=32", "bits=3", "bits=4 group=64 act_order=true", "bits=8"};
    kit k = kit_open(2);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        char rtn_options[64];
        double sum_gptq = 0, sum_rtn = 0;
        snprintf(rtn_options, sizeof rtn_options, "%s", options[i]);
        char *act = strstr(rtn_options, " act_order");
        if (act) *act = 0;
        for (uint64_t seed = 0; seed < 4; seed++) {
            lb_mat W = kit_random(&k, seed, 24, 160);
            lb_stats stats = kit_stats(&k, seed, 400, 160);
            lb_layer gptq = kit_run(&k, "gptq", options[i], W, &stats);
            lb_layer rtn = kit_run(&k, "rtn", rtn_options, W, NULL);
            sum_gptq += output_mse(&k, W, &gptq, &stats);
            sum_rtn += output_mse(&k, W, &rtn, &stats);
        }
        assert_true(sum_gptq < 0.8 * sum_rtn);
    }
    kit_close(&k);
}

static void block_size_does_not_matter(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 3, 33, 130);
    lb_stats stats = kit_stats(&k, 3, 300, 130);
    static const char *const same[] = {"bits=3 group=16 group_refit=column", "bits=4", "bits=3 group=tensor",
                                       "bits=3 group=16 act_order=true group_refit=column",
                                       "bits=3 group=16 static_groups=true"};
    static const int block[] = {1, 7, 32, 128, 130, 65536};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        lb_layer first;
        for (size_t b = 0; b < sizeof block / sizeof block[0]; b++) {
            char options[96];
            snprintf(options, sizeof options, "%s block=%d", same[i], block[b]);
            lb_layer c = kit_run(&k, "gptq", options, W, &stats);
            if (b == 0) first = c;
            assert_memory_equal(c.codes, first.codes, (size_t)(33 * 130));
        }
    }
    /* group_refit block does depend on it: were it not so, the cases above would show nothing */
    lb_layer a = kit_run(&k, "gptq", "bits=3 group=16 block=16", W, &stats);
    lb_layer b = kit_run(&k, "gptq", "bits=3 group=16 block=128", W, &stats);
    assert_memory_not_equal(a.codes, b.codes, (size_t)(33 * 130));
    kit_close(&k);
}

/* With act-order, what comes out for a column does not depend on where it stood. */
static void columns_can_be_permuted(void **state) {
    (void)state;
    enum { ROWS = 20, COLS = 96 };
    static const char *const options[] = {"bits=3 act_order=true", "bits=3 group=16 act_order=true"};
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 5, ROWS, COLS), Wp = lb_mat_of(LB_NEW(k.arena, float, ROWS *COLS), ROWS, COLS);
    lb_stats stats = kit_stats(&k, 5, 300, COLS), permuted = stats;
    double *Hp = LB_NEW(k.arena, double, COLS *COLS);
    int64_t perm[COLS];
    lb_rng rng = lb_rng_make(9, 9);
    for (int64_t c = 0; c < COLS; c++) {
        int64_t j = lb_rng_below(&rng, c + 1);
        perm[c] = perm[j], perm[j] = c;
    }
    for (int64_t i = 0; i < COLS; i++) {
        for (int64_t r = 0; r < ROWS; r++) Wp.d[r * COLS + i] = W.d[r * COLS + perm[i]];
        for (int64_t j = 0; j < COLS; j++) Hp[i * COLS + j] = stats.H.d[perm[i] * COLS + perm[j]];
    }
    permuted.H.d = Hp;
    for (size_t n = 0; n < 2; n++) {
        lb_layer a = kit_run(&k, "gptq", options[n], W, &stats), b = kit_run(&k, "gptq", options[n], Wp, &permuted);
        assert_int_equal(a.order != NULL, n == 1);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t c = 0; c < COLS; c++) assert_int_equal(b.codes[r * COLS + c], a.codes[r * COLS + perm[c]]);
        for (int64_t p = 0; a.order && p < COLS; p++) assert_int_equal(perm[b.order[p]], a.order[p]);
    }
    kit_close(&k);
}

static void ties_keep_their_order(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = kit_random(&k, 1, 8, 64);
    double *H = LB_NEW(k.arena, double, 64 * 64);
    for (int i = 0; i < 64; i++) H[i * 65] = i < 32 ? 1 : 2;
    lb_stats stats = {.H = {H, 64, 64, 64}, .tokens = 100, .sequences = 1};
    lb_layer c = kit_run(&k, "gptq", "group=16 act_order=true", W, &stats);
    for (int p = 0; p < 64; p++) assert_int_equal(c.order[p], (p + 32) % 64);
    kit_close(&k);
}

/* The twin has its own inverse, grid and order of sums: codes may differ at ties only, and normal numbers have none. */
static void fast_is_plain(void **state) {
    (void)state;
    kit k = kit_open(2);
    int64_t shapes[][2] = {{1, 8}, {37, 65}, {64, 300}, {5, 129}};
    for (size_t n = 0; n < 4; n++) {
        for (int v = 0; v < 16; v++) {
            int64_t rows = shapes[n][0], cols = shapes[n][1];
            gptq_ref_opts o = {.bits = 2 + v % 4,
                               .group = v & 1 ? 24 : 0,
                               .block = v & 2 ? 128 : 16,
                               .symmetric = v & 4,
                               .act_order = v & 8,
                               .static_groups = (v & 5) == 5,
                               .refit_column = (v & 7) == 3,
                               .percdamp = 0.01};
            char options[192];
            char group[16] = "row";
            if (o.group) snprintf(group, sizeof group, "%lld", (long long)o.group);
            snprintf(options, sizeof options,
                     "bits=%d group=%s block=%lld symmetric=%s act_order=%s static_groups=%s group_refit=%s", o.bits,
                     group, (long long)o.block, o.symmetric ? "true" : "false", o.act_order ? "true" : "false",
                     o.static_groups ? "true" : "false", o.refit_column ? "column" : "block");
            lb_mat W = kit_random(&k, (uint64_t)(n * 16) + (uint64_t)v, rows, cols);
            lb_stats stats = kit_stats(&k, n, 2 * cols, cols);
            lb_layer c = kit_run(&k, "gptq", options, W, &stats);
            lb_mat What = kit_dequantize(&k, &c);
            float *ref = LB_NEW(k.arena, float, rows *cols);
            double *before = LB_NEW(k.arena, double, rows *cols);
            assert_true(gptq_ref(&o, W.d, rows, cols, stats.H.d, stats.tokens, stats.sequences, ref, before));
            for (int64_t i = 0; i < rows * cols; i++)
                if (fabs((double)What.d[i] - (double)ref[i]) > 1e-5 * fabs((double)ref[i]))
                    fail_msg("(%lld, %lld) %s: weight %lld is %.9g, the twin has %.9g", (long long)rows,
                             (long long)cols, options, (long long)i, (double)What.d[i], (double)ref[i]);
        }
    }
    kit_close(&k);
}

static void threads_do_not_matter(void **state) {
    (void)state;
    kit one = kit_open(1), four = kit_open(4);
    lb_mat W = kit_random(&one, 6, 150, 200);
    lb_stats stats = kit_stats(&one, 6, 300, 200);
    const char *options = "bits=3 group=64 act_order=true mse=true";
    lb_layer a = kit_run(&one, "gptq", options, W, &stats), b = kit_run(&four, "gptq", options, W, &stats);
    assert_same_layer(&a, &b);
    kit_close(&one);
    kit_close(&four);
}

static lb_stats rank_one(const kit *k, int64_t cols) {
    double *H = LB_NEW(k->arena, double, cols *cols);
    for (int64_t i = 0; i < cols * cols; i++) H[i] = 1;
    return (lb_stats){.H = {H, cols, cols, cols}, .tokens = 1, .sequences = 1};
}

/* Layers on one H, each with options of its own, some of which share a factor: as if each were alone. */
static void shared_factors_do_not_matter(void **state) {
    (void)state;
    static const char *const options[] = {"bits=3 act_order=true", "bits=4 act_order=true group=16",
                                          "bits=3 percdamp=0.1", "bits=3 percdamp=0.1 group=64",
                                          "bits=3 act_order=true"};
    kit k = kit_open(2);
    lb_stats alone = kit_stats(&k, 21, 300, 96), together = alone;
    lb_kept kept = {.arena = k.arena};
    together.kept = &kept;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        lb_mat W = kit_random(&k, 30 + i, 20 + 8 * (int64_t)i, 96);
        lb_layer a = kit_run(&k, "gptq", options[i], W, &alone), b = kit_run(&k, "gptq", options[i], W, &together);
        assert_same_layer(&a, &b);
        assert_non_null(kept.data);
    }
    lb_stats one = rank_one(&k, 64); /* a factor that failed is not taken for one */
    kept = (lb_kept){.arena = k.arena};
    one.kept = &kept;
    lb_mat W = kit_random(&k, 8, 16, 64);
    lb_layer c;
    for (int i = 0; i < 2; i++) assert_int_equal(kit_try(&k, "gptq", "bits=3 percdamp=0", W, &one, &c), LB_E_NUMERIC);
    lb_layer a = kit_run(&k, "gptq", "bits=3 percdamp=0 on_failure=raise_damp", W, &one);
    assert_int_equal(a.flags, LB_FLAG_DAMP_RAISED);
    kit_close(&k);
}

static void failures(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 8, 16, 64);
    lb_stats stats = rank_one(&k, 64);
    lb_layer c;
    assert_int_equal(kit_try(&k, "gptq", "bits=3 percdamp=0", W, &stats, &c), LB_E_NUMERIC);
    assert_error_has("layer 0.test: Cholesky failed at column 62 (pivot 0, damp 0): calibration gives 1 tokens for 64 "
                     "columns; use more samples or a larger damp");

    c = kit_run(&k, "gptq", "bits=3 percdamp=0 on_failure=raise_damp", W, &stats);
    assert_int_equal(c.flags, LB_FLAG_DAMP_RAISED);
    assert_true(c.told.value[0] == 1e-4);

    c = kit_run(&k, "gptq", "bits=3 percdamp=0 on_failure=rtn act_order=true group=24", W, &stats);
    lb_layer rtn = kit_run(&k, "rtn", "bits=3 group=24", W, NULL);
    assert_int_equal(c.flags, LB_FLAG_FALLBACK_RTN | LB_FLAG_RAGGED_GROUP);
    /* Its spec said that an order is stored: one is, of the columns as they are. */
    assert_int_equal(lb_layer_check(&c, k.team), LB_OK);
    assert_true(c.storage.order);
    for (int p = 0; p < 64; p++) assert_int_equal(c.order[p], p);
    c.order = NULL;
    assert_same_layer(&c, &rtn);

    c = kit_run(&k, "gptq", "bits=3", W, &stats);
    assert_int_equal(c.flags, 0);
    assert_true(c.told.value[0] == 0.01);

    stats = kit_stats(&k, 8, 200, 64);
    double *H = (double *)(uintptr_t)stats.H.d;
    for (int i = 0; i < 64; i++) H[i * 64 + 5] = H[5 * 64 + i] = 0;
    c = kit_run(&k, "gptq", "bits=3 act_order=true", W, &stats);
    assert_int_equal(c.flags, LB_FLAG_DEAD_COLUMNS);
    assert_true(lb_is_told(&c.told, 1) && c.told.value[1] == 1);
    lb_mat What = kit_dequantize(&k, &c);
    for (int r = 0; r < 16; r++) assert_true(What.d[r * 64 + 5] == 0);

    H[0] = NAN;
    assert_int_equal(kit_try(&k, "gptq", "bits=3", W, &stats, &c), LB_E_NUMERIC);
    W.d[70] = INFINITY;
    assert_int_equal(kit_try(&k, "gptq", "bits=3", W, &stats, &c), LB_E_NUMERIC);
    assert_error_has("weight at row 1, column 6");
    W.d[70] = 0;
    assert_int_equal(kit_try(&k, "gptq", "bits=3", W, NULL, &c), LB_E_ARG);
    kit_close(&k);
}

static void refused(void **state) {
    (void)state;
    kit k = kit_open(1);
    const lb_method *m = lb_method_find("gptq");
    static const char *const bad[] = {"static_groups=true", "static_groups=true group=tensor", "group_refit=column",
                                      "group_refit=column group=64 static_groups=true"};
    for (size_t i = 0; i < 4; i++) assert_int_equal(m->check(kit_options(&k, m, bad[i])), LB_E_UNSUPPORTED);
    static const char *const good[] = {"", "static_groups=true group=64", "group_refit=column group=64",
                                       "act_order=true group=tensor"};
    for (size_t i = 0; i < 4; i++) assert_int_equal(m->check(kit_options(&k, m, good[i])), LB_OK);
    kit_close(&k);
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    const lb_method *m = lb_method_find("gptq");
    for (int64_t nth = 1;; nth++) {
        kit k = kit_open(2);
        lb_mat W = kit_random(&k, 2, 40, 64);
        lb_stats stats = kit_stats(&k, 2, 100, 64);
        const void *opts = kit_options(&k, m, "bits=3 group=tensor act_order=true");
        lb_arena *scratch = NULL, *arena = NULL;
        lb_layer c;
        lb_alloc_fail_at(nth);
        lb_status st = lb_arena_new(4096, &scratch);
        if (st == LB_OK) st = lb_arena_new(4096, &arena);
        lb_layer_in in = {"0.test", lb_mat_c(W), NULL, &stats, 0, scratch, arena, k.team, NULL};
        if (st == LB_OK) st = m->layer(&in, opts, &c);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        lb_arena_free(scratch);
        lb_arena_free(arena);
        kit_close(&k);
        assert_int_equal(st, reached ? LB_E_NOMEM : LB_OK);
        if (!reached) break;
        assert_true(nth < 100);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_rtn),
        cmocka_unit_test(better_than_rtn),
        cmocka_unit_test(block_size_does_not_matter),
        cmocka_unit_test(columns_can_be_permuted),
        cmocka_unit_test(ties_keep_their_order),
        cmocka_unit_test(fast_is_plain),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(shared_factors_do_not_matter),
        cmocka_unit_test(failures),
        cmocka_unit_test(refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
