/* smoothquant and hadamard on inputs made by hand: equation, ties, clamps, what is folded and what is kept, signs. From
 * a config to its result: tests/oracle/test_smoothquant.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "math/blas.h"
#include "quant/block.h"
#include "quant/transform.h"
#include "support/quant_kit.h"

enum { COLS = 6, ROWS = 2 };

typedef struct block {
    kit k;
    float absmax[COLS];
    lb_stats stats;
    lb_block_site site[2];
    lb_block_input input[2];
    lb_transform T[2];
    lb_block_in in;
    lb_block_out out;
} block;

static const float A[] = {1, -2, 0, 0.5f, 3, 1, 0, 1, 0, -4, 1, 1}, B[] = {-2, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1};
/* max |W| of both: 2, 2, 0, 4, 3, 1 */

static void make_block(block *b, const void *opts) {
    static const float absmax[] = {8, 2, 5, 0, 12, 0.25f};
    *b = (block){.k = kit_open(1), .stats = {.tokens = 9}};
    memcpy(b->absmax, absmax, sizeof absmax);
    b->stats.absmax = b->absmax;
    b->site[0] = (lb_block_site){.name = "0.q", .role = "q", .W = lb_cmat_of(A, ROWS, COLS), .quantize = true};
    b->site[1] = (lb_block_site){.name = "0.k", .role = "k", .W = lb_cmat_of(B, ROWS, COLS)};
    b->input[0] = (lb_block_input){
        .name = "0.q", .role = "q", .cols = COLS, .stats = &b->stats, .foldable = true, .quantize = true, .opts = opts};
    b->input[1] =
        (lb_block_input){.name = "0.o", .role = "o", .cols = COLS, .opts = opts}; /* nobody quantizes what reads it */
    b->in = (lb_block_in){.site = b->site,
                          .sites = 2,
                          .input = b->input,
                          .inputs = 2,
                          .scratch = b->k.arena,
                          .arena = b->k.arena,
                          .team = b->k.team,
                          .seed = 5};
    b->out.T = b->T;
}

static void smoothed_as_the_equation(void **state) {
    (void)state;
    static const double X[] = {8, 2, 5, 0, 12, 0.25}, W[] = {2, 2, 0, 4, 3, 1};
    static const char *const texts[] = {"alpha=0.5 fold=all", "alpha=0 fold=all", "alpha=1 fold=all"};
    const lb_method *m = lb_method_find("smoothquant");
    for (int t = 0; t < 3; t++) {
        block b;
        kit k = kit_open(1);
        double alpha = t == 0 ? 0.5 : t - 1;
        make_block(&b, kit_options(&k, m, texts[t]));
        assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
        assert_false(lb_transform_any(&b.T[1]));
        assert_true(b.T[0].scale && !b.T[0].hadamard && !b.T[0].sign);
        for (int c = 0; c < COLS; c++) {
            double s = fmax(pow(X[c], alpha) / pow(fmax(W[c], 1e-5), 1 - alpha), 1e-5);
            assert_true(fabs((double)b.T[0].scale[c] * s - 1) < 1e-6);
        }
        kit_close(&b.k);
        kit_close(&k);
    }
}

static void tied_channels_are_one(void **state) {
    (void)state;
    static const int32_t tied[] = {0, 1, 0, 1, 2, 2};
    static const double X[] = {8, 2, 8, 2, 12, 12}, W[] = {2, 4, 2, 4, 3, 3}; /* the largest of those with one number */
    const lb_method *m = lb_method_find("smoothquant");
    block b;
    kit k = kit_open(1);
    make_block(&b, kit_options(&k, m, "fold=all"));
    b.input[0].tied = tied;
    assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
    for (int c = 0; c < COLS; c++) assert_true(fabs((double)b.T[0].scale[c] * sqrt(X[c] / W[c]) - 1) < 1e-6);
    b.input[0].foldable = false; /* kept: each by itself */
    b.T[0] = (lb_transform){0};
    assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
    assert_true(b.T[0].scale[0] != b.T[0].scale[2]);
    kit_close(&b.k);
    kit_close(&k);
}

/* An expert that no token reached: nothing is known of its inputs, and something has to be stored. */
static void nothing_is_known(void **state) {
    (void)state;
    const lb_method *m = lb_method_find("smoothquant");
    block b;
    kit k = kit_open(1);
    make_block(&b, kit_options(&k, m, "fold=all"));
    memset(b.absmax, 0, sizeof b.absmax);
    b.stats.tokens = 0;
    b.input[0].foldable = false;
    assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
    for (int c = 0; c < COLS; c++) assert_true(b.T[0].scale[c] == 1);
    kit_close(&b.k);
    kit_close(&k);
}

static void folded_or_kept(void **state) {
    (void)state;
    static const struct {
        const char *options;
        bool foldable, norm, fold, kept;
    } of[] = {
        {"", true, true, true, false},          {"", true, false, false, false},
        {"", false, false, false, false},       {"fold=all", true, true, true, false},
        {"fold=all", true, false, true, false}, {"fold=all", false, false, false, true},
    };
    const lb_method *m = lb_method_find("smoothquant");
    kit k = kit_open(1);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        lb_storage s = {0};
        bool fold = false;
        const lb_block_input in = {
            .cols = COLS, .foldable = of[i].foldable, .behind_norm = of[i].norm, .quantize = true};
        assert_int_equal(m->spec_input(kit_options(&k, m, of[i].options), &in, &s, &fold), LB_OK);
        assert_true(fold == of[i].fold && s.t_scale == of[i].kept && !s.t_hadamard && !s.t_sign);
        assert_true(!s.t_scale || s.t_scale_type == LB_SCALE_F32);
    }
    kit_close(&k);
}

static void runs_of_hadamard(void **state) {
    (void)state;
    static const struct {
        const char *options;
        int64_t cols, run; /* 0: refused */
        const char *why;
    } of[] = {
        {"", 64, 64, ""},
        {"", 176, 16, ""},
        {"", 6, 2, ""},
        {"block=4", 64, 4, ""},
        {"", 7, 0, "7 columns: no power of two from 2 on divides them"},
        {"block=32", 176, 0, "block = 32 does not divide its 176 columns"},
        {"block=12", 48, 0, "block = 12: must be a power of two, from 2 on"},
        {"block=1", 8, 0, "block = 1: must be a power of two, from 2 on"},
    };
    const lb_method *m = lb_method_find("hadamard");
    kit k = kit_open(1);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        lb_storage s = {0};
        bool fold = false;
        const lb_block_input in = {.cols = of[i].cols, .foldable = true, .behind_norm = true, .quantize = true};
        lb_status st = m->spec_input(kit_options(&k, m, of[i].options), &in, &s, &fold);
        assert_int_equal(st, of[i].run ? LB_OK : LB_E_UNSUPPORTED);
        if (!of[i].run) assert_error_has(of[i].why);
        if (of[i].run) assert_true(!fold && !s.t_scale && s.t_sign && s.t_hadamard == of[i].run);
    }
    assert_int_equal(m->check(kit_options(&k, m, "block=12")), LB_E_UNSUPPORTED);
    assert_int_equal(m->needs_of(kit_options(&k, m, "signs=false")) & LB_NEEDS_SEED, 0);
    assert_int_equal(m->needs_of(kit_options(&k, m, "")), LB_PRESERVES | LB_NEEDS_SEED);
    kit_close(&k);
}

static void signs_of_hadamard(void **state) {
    (void)state;
    enum { WIDE = 1000 };
    const lb_method *m = lb_method_find("hadamard");
    block b;
    kit k = kit_open(1);
    const uint8_t *first[2] = {NULL, NULL};
    make_block(&b, kit_options(&k, m, ""));
    b.input[1].quantize = true;
    for (int i = 0; i < 2; i++) b.input[i].cols = WIDE;
    for (int turn = 0; turn < 3; turn++) { /* twice the same seed, then another */
        b.in.seed = turn < 2 ? 5 : 6;
        memset(b.T, 0, sizeof b.T);
        assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
        for (int i = 0; i < 2; i++) {
            int64_t ones = 0;
            assert_true(b.T[i].hadamard == 8 && b.T[i].sign && !b.T[i].scale);
            for (int64_t c = 0; c < WIDE; c++) ones += b.T[i].sign[c / 8] >> c % 8 & 1;
            assert_in_range(ones, 430, 570);
            if (turn == 0) first[i] = b.T[i].sign;
            assert_true((memcmp(first[i], b.T[i].sign, WIDE / 8) == 0) == (turn < 2));
        }
        assert_memory_not_equal(b.T[0].sign, b.T[1].sign, WIDE / 8);
    }
    b.input[0].cols = 6; /* no bit beyond the last column */
    assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
    assert_int_equal(b.T[0].sign[0] >> 6, 0);
    for (int i = 0; i < 2; i++) b.input[i].opts = kit_options(&k, m, "signs=false");
    memset(b.T, 0, sizeof b.T);
    assert_int_equal(m->block(&b.in, NULL, &b.out), LB_OK);
    assert_true(b.T[0].hadamard == 2 && !b.T[0].sign);
    kit_close(&b.k);
    kit_close(&k);
}

static void memory_runs_out(void **state) {
    (void)state;
    static const char *const methods[] = {"smoothquant", "hadamard"};
    static const int32_t tied[] = {0, 1, 0, 1, 2, 2};
    for (size_t i = 0; i < 2; i++) {
        const lb_method *m = lb_method_find(methods[i]);
        kit k = kit_open(1);
        const void *opts = kit_options(&k, m, i ? "" : "fold=all");
        lb_status st = LB_E_NOMEM;
        int64_t n = 1;
        for (; n < 100 && st == LB_E_NOMEM; n++) {
            block b;
            make_block(&b, opts);
            b.input[0].tied = tied;
            lb_arena *made = NULL, *scratch = NULL;
            lb_alloc_fail_at(n);
            st = lb_arena_new(1, &made);
            if (st == LB_OK) st = lb_arena_new(1, &scratch);
            b.in.arena = made;
            b.in.scratch = scratch;
            if (st == LB_OK) st = m->block(&b.in, NULL, &b.out);
            lb_alloc_fail_at(0);
            lb_arena_free(made);
            lb_arena_free(scratch);
            kit_close(&b.k);
        }
        if (st != LB_OK) fail_msg("%s: %s", methods[i], lb_error());
        assert_true(n > 2);
        kit_close(&k);
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smoothed_as_the_equation), cmocka_unit_test(tied_channels_are_one),
        cmocka_unit_test(nothing_is_known),         cmocka_unit_test(folded_or_kept),
        cmocka_unit_test(runs_of_hadamard),         cmocka_unit_test(signs_of_hadamard),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
