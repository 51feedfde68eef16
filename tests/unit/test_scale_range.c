/* What a type cannot hold: a layer whose scale, zero or number would saturate is refused, by every format and method
 * that stores one, with its block, its value and the type's largest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "math/blas.h"
#include "quant/fakequant.h"
#include "support/quant_kit.h"

enum { ROWS = 6, COLS = 32 };

/* Random, with columns 16 to 31 of row 3 from `value` on in such steps; a step of 0: just column 20. */
static lb_mat weights(const kit *k, float value, float step) {
    lb_mat W = kit_random(k, 9, ROWS, COLS);
    if (step == 0) W.d[3 * COLS + 20] = value;
    for (int i = 0; step != 0 && i < 16; i++) W.d[3 * COLS + 16 + i] = value + (float)i * step;
    return W;
}

static void methods_refuse(void **state) {
    (void)state;
    static const struct {
        const char *method, *options;
        float value, step;
        const char *message;
    } one[] = {
        {"rtn", "bits=4 group=16 scale_type=f16", -1e30f, 0,
         "layer 0.test: row 3, group 1: scale 6.66667e+28: must be at most 65504, the largest float16"},
        {"rtn", "bits=4 group=16 mse=true scale_type=f16", -1e30f, 0, "row 3, group 1: scale 6.66667e+28"},
        {"rtn", "bits=4 scale_type=f16", -1e30f, 0, "layer 0.test: row 3: scale 6.66667e+28"},
        {"rtn", "bits=4 group=tensor symmetric=true scale_type=f16", -1e30f, 0, "layer 0.test: the matrix: scale 1.33"},
        {"rtn", "bits=1 group=16 scale_type=bf16", -3.4e38f, 0, "scale 3.4e+38: must be at most 3.38953e+38"},
        {"rtn", "bits=1 group=16 symmetric=true scale_type=f16", -1e30f, 0, "row 3, group 1: scale 1.25e+29"},
        {"rtn", "bits=1 group=16 symmetric=true", 3e38f, 1,
         "scale inf: must be at most 3.40282e+38, the largest float32"},
        {"rtn", "format=fp8 bits=8 group=16 scale_type=f16", -1e30f, 0, "row 3, group 1: scale 2.23214e+27"},
        {"rtn", "format=affine bits=4 group=16 scale_type=f16", -3e6f, 0, "row 3, group 1: scale 200000"},
        {"rtn", "format=affine bits=4 group=16 scale_type=f16", 1000, 0.0009765625f,
         "layer 0.test: row 3, group 1: zero -1.024e+06: must be at least -65504, the largest float16"},
        {"rtn", "format=nf4 bits=4 group=16 scale_type=f16", -1e30f, 0, "layer 0.test: block 7: scale 1e+30"},
        {"nf4", "group=16 scale_type=bf16", -3.4e38f, 0,
         "layer 0.test: block 7: scale 3.4e+38: must be at most 3.38953e+38, the largest bfloat16"},
        {"nf4", "group=16 format=fp4 scale_type=f16", -65520, 0, "block 7: scale 65520: must be at most 65504"},
        {"hqq", "group=16 scale_type=f16", -1e30f, 0, "layer 0.test: row 3, group 1: scale 6.66667e+28"},
        {"hqq", "group=16 iters=0 scale_type=f16", 1e5f, 1e-9f,
         "layer 0.test: row 3, group 1: zero -100000: must be at least -65504, the largest float16"},
        {"gptq", "bits=4 group=16 scale_type=f16", -1e30f, 0, "layer 0.test (damp 0.01): row 3, group 1: scale"},
        {"gptq", "bits=4 scale_type=f16", -1e30f, 0, "layer 0.test (damp 0.01): row 3: scale 6.66667e+28"},
        {"gptq", "bits=4 group=tensor scale_type=f16", -1e30f, 0, "the matrix: scale 6.66667e+28"},
        {"gptq", "bits=4 group=16 act_order=true static_groups=true scale_type=f16", -1e30f, 0,
         "layer 0.test (damp 0.01): row 3, group 1: scale 6.66667e+28"},
        {"low_rank", "bits=4 group=16 rank=2 scale_type=f16", -1e30f, 0,
         "layer 0.test: row 3, group 1: scale 6.66667e+28"},
        {"low_rank", "bits=4 group=16 rank=2", 1e30f, 1e29f, "layer 0.test: the pair, row"},
    };
    kit k = kit_open(2);
    lb_stats stats = kit_stats(&k, 6, 200, COLS);
    lb_layer c;
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        lb_mat W = weights(&k, one[i].value, one[i].step);
        if (kit_try(&k, one[i].method, one[i].options, W, &stats, &c) != LB_E_NUMERIC)
            fail_msg("%s %s: %s", one[i].method, one[i].options, lb_error());
        assert_error_has(one[i].message);
    }
    kit_close(&k);
}

/* The last that fits, the first that does not, and what the solver is allowed to do about it. */
static void up_to_the_largest(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_layer c;
    lb_mat W = weights(&k, 65519, 0);
    c = kit_run(&k, "nf4", "group=16 scale_type=f16", W, NULL);
    assert_true(c.scale[7] == 65504);
    W = weights(&k, 65520, 0);
    assert_int_equal(kit_try(&k, "nf4", "group=16 scale_type=f16", W, NULL, &c), LB_E_NUMERIC);
    c = kit_run(&k, "nf4", "group=16 scale_type=bf16", W, NULL);
    assert_true(c.scale[7] == 65536);
    c = kit_run(&k, "nf4", "group=16 double_quant=true", W, NULL);
    float x;
    assert_int_equal(lb_scale_store(LB_SCALE_F16, 1e-30f, &x), LB_OK); /* a small one is the smallest there is */
    assert_true(x == 0x1p-24f);
    assert_int_equal(lb_number_store(LB_SCALE_F16, "zero", 1e-30f, &x), LB_OK);
    assert_true(x == 0);
    assert_int_equal(lb_number_store(LB_SCALE_F16, "zero", -65519, &x), LB_OK);
    assert_true(x == -65504);
    assert_int_equal(lb_number_store(LB_SCALE_F16, "zero", NAN, &x), LB_E_NUMERIC);
    assert_error_has("zero nan: must be finite");
    kit_close(&k);
}

/* Pruned weights stay float16: refused where the layer is packed. */
static void pruned_weights(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_stats stats = kit_stats(&k, 6, 200, COLS);
    lb_layer c = kit_run(&k, "wanda", "", weights(&k, -1e30f, 0), &stats);
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_NUMERIC);
    assert_error_has("weight -1e+30 at row 3, column 20: must be at least -65504, the largest float16");
    kit_close(&k);
}

static void trained_scales(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_mat W = weights(&k, -1e30f, 0);
    float out[ROWS * COLS];
    const lb_storage s = {.format = &lb_uniform, .bits = 4, .group = 16, .scale_type = LB_SCALE_F16};
    lb_fakequant f;
    assert_int_equal(lb_fakequant_new(k.arena, &s, LB_RANGE_LEARNED, lb_mat_c(W), &f), LB_E_NUMERIC);
    assert_error_has("row 3, group 1: scale 6.66667e+28: must be at most 65504");
    assert_int_equal(lb_fakequant_new(k.arena, &s, LB_RANGE_MINMAX, lb_mat_c(W), &f), LB_OK);
    assert_int_equal(lb_fakequant_begin(&f, W.d), LB_OK);
    assert_int_equal(lb_fakequant_rows(&f, W.d, 0, ROWS, out), LB_E_NUMERIC);
    assert_error_has("row 3, group 1: scale 6.66667e+28: must be at most 65504");
    W.d[3 * COLS + 20] = 1;
    assert_int_equal(lb_fakequant_new(k.arena, &s, LB_RANGE_LEARNED, lb_mat_c(W), &f), LB_OK);
    assert_int_equal(lb_fakequant_begin(&f, W.d), LB_OK);
    f.u[5] *= 1e6f; /* as steps that diverge would make it */
    assert_int_equal(lb_fakequant_begin(&f, W.d), LB_E_NUMERIC);
    assert_error_has("row 2, group 1: scale ");
    assert_error_has("must be at most 65504, the largest float16");
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(methods_refuse), cmocka_unit_test(up_to_the_largest),
                                       cmocka_unit_test(pruned_weights), cmocka_unit_test(trained_scales)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
