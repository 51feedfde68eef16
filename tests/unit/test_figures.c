/* Published figures against numbers worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "result/figures.h"

/* A (2, 3) layer: sums of squares 6 of 24, traces 0.5 of 50. */
static const lb_layer_error some = {6, 24, 0.5, 50, 2, 3};
static const lb_layer_error none = {0, 0, 0, 0, 2, 3}, unknown = {NAN, NAN, NAN, NAN, 2, 3};

static void layer_errors(void **state) {
    (void)state;
    assert_true(lb_weight_mse(&some) == 1.0 && lb_weight_rel(&some) == 0.25);
    assert_true(lb_output_mse(&some) == 0.25 && lb_output_rel(&some) == 0.01);
    assert_float_equal(lb_sqnr_db(lb_output_rel(&some)), 20, 1e-13);
    assert_true(lb_output_rel(&none) == 0 && lb_weight_rel(&none) == 0);
    assert_true(isinf(lb_sqnr_db(lb_output_rel(&none))));
    const lb_layer_error rtn = {0, 0, 2, 50, 2, 3};
    assert_true(lb_error_ratio(&some, &rtn) == 0.25);
    assert_true(isnan(lb_error_ratio(&some, &none)));
}

/* The inputs that a layer was solved on come first; a method that needs none has only the original model's. */
static void which_errors(void **state) {
    (void)state;
    const lb_layer_error twice = {6, 24, 1, 50, 2, 3}, four = {6, 24, 4, 50, 2, 3};
    lb_layer_row l = {.own = some, .rtn_own = twice, .original = four, .rtn_original = twice};
    assert_true(lb_layer_ratio(&l) == 0.5);
    assert_ptr_equal(lb_layer_weights(&l), &l.own);
    l.own.output_err = NAN;
    assert_true(lb_layer_ratio(&l) == 4);
    l.own = unknown;
    assert_ptr_equal(lb_layer_weights(&l), &l.original);
    l.original = unknown;
    assert_true(isnan(lb_layer_ratio(&l)));
}

/* Sum of errors / sum of energies, not a mean of ratios; of quantized layers alone. */
static void model_errors(void **state) {
    (void)state;
    lb_layer_row l[4] = {{.quantized = true}, {.quantized = true}, {.quantized = false}, {.quantized = true}};
    l[0].original = (lb_layer_error){1, 10, 2, 100, 1, 1};
    l[1].original = (lb_layer_error){3, 30, 6, 20, 1, 1};
    l[2].original = (lb_layer_error){9, 9, 900, 9, 1, 1};
    l[3].original = (lb_layer_error){4, 40, NAN, NAN, 1, 1}; /* an embedding: no inputs */
    for (int i = 0; i < 4; i++) l[i].own = unknown;
    l[0].rtn_original = l[1].rtn_original = (lb_layer_error){0, 0, 16, 1, 1, 1};
    lb_record c = {.layer = l, .layers = 4};
    lb_model_error e = lb_model_error_of(&c, true);
    assert_float_equal(e.output_rel, 8.0 / 120, 1e-15);
    assert_float_equal(e.output_vs_rtn, 8.0 / 32, 1e-15);
    assert_float_equal(e.weight_rel, 8.0 / 80, 1e-15);
    assert_int_equal(e.layers, 2);
    e = lb_model_error_of(&c, false);
    assert_true(isnan(e.output_rel) && isnan(e.output_vs_rtn));
    assert_int_equal(e.layers, 0);
    /* A layer whose yardstick was not measured is no part of the ratio, on either side. */
    l[1].rtn_original.output_err = NAN;
    e = lb_model_error_of(&c, true);
    assert_float_equal(e.output_vs_rtn, 2.0 / 16, 1e-15);
    assert_float_equal(e.output_rel, 8.0 / 120, 1e-15);
}

/* Where every token counts the same, and few tokens carrying H: of the original model, or else of the layer's own. */
static void tokens(void **state) {
    (void)state;
    lb_layer_row l[3] = {{.quantized = true, .flags = 4, .own_carried = lb_carried_unknown},
                         {.quantized = true, .own_carried = {0.2, 0.5, 0.00999}, .equal_own = {1, 10}},
                         {.quantized = true, .original_carried = {0.2, 0.5, 0.01}}};
    lb_record c = {.layer = l, .layers = 3, .flags = 4};
    assert_int_equal(lb_layer_flags_shown(&l[0]), 4);
    assert_int_equal(lb_layer_flags_shown(&l[1]), LB_FLAG_CARRIED);
    assert_int_equal(lb_layer_flags_shown(&l[2]), 0); /* it is 1 % */
    assert_int_equal(lb_record_flags_shown(&c), 4 | LB_FLAG_CARRIED);
    l[1].own_carried.half_share = 0.5;
    assert_int_equal(lb_record_flags_shown(&c), 4);
    l[1].original_carried.half_share = 1e-4;
    assert_int_equal(lb_record_flags_shown(&c), 4 | LB_FLAG_CARRIED);
    assert_ptr_equal(lb_layer_carried(&l[1]), &l[1].own_carried);
    assert_ptr_equal(lb_layer_carried(&l[2]), &l[2].original_carried);
    assert_true(isnan(lb_equal_rel(&l[0])) && isnan(lb_equal_ratio(&l[0])) && isnan(lb_equal_ratio(&l[1])));
    assert_true(lb_equal_rel(&l[1]) == 0.1);
    l[1].rtn_equal_own = (lb_equal_error){2, 10};
    assert_true(lb_equal_ratio(&l[1]) == 0.5);
    l[2].equal_original = (lb_equal_error){3, 30}, l[2].rtn_equal_original = (lb_equal_error){4, 30};
    l[2].equal_own = (lb_equal_error){90, 100};
    assert_true(lb_equal_rel(&l[2]) == 0.1 && lb_equal_ratio(&l[2]) == 0.75);
    lb_model_equal all = lb_model_equal_of(&c);
    assert_float_equal(all.output_rel, 4.0 / 40, 1e-15);
    assert_float_equal(all.output_vs_rtn, 4.0 / 6, 1e-15);
}

/* A model of three tensors: (4, 8) quantized to 3 bits, (4, 8) stored in 4.5 bits a weight and kept, 8 norms in
 * float32: quantized: 12 bytes of codes + 16 of scales + 4 of padding = 32 bytes for 32 weights: 8 bits a weight kept:
 * 18 + 32 = 50 bytes as stored, 64 + 16 = 80 at 16 bits original: 72 values: 144 bytes at 16 bits; 18 + 18 + 32 = 68 as
 * stored */
static void sizes(void **state) {
    (void)state;
    const lb_size layer = {.weights = 32, .codes = 12, .scales = 16, .padding = 4, .total = 32};
    lb_model_size s = {0};
    assert_true(isnan(lb_ratio_fp16(&s)) && isnan(lb_ratio_stored(&s)) && isnan(lb_size_bits(&s.quantized)));
    lb_model_size_layer(&s, &layer);
    lb_model_size_tensor(&s, 32, 18, -1);
    lb_model_size_tensor(&s, 32, 18, 18);
    lb_model_size_tensor(&s, 8, 32, 32);
    lb_model_size_total(&s);
    assert_true(lb_size_bits(&s.quantized) == 8.0 && lb_bits_per_weight(18, 32) == 4.5);
    assert_int_equal(s.quantized.total, 32);
    assert_int_equal(s.other_as_stored, 50);
    assert_int_equal(s.other_as_fp16, 80);
    assert_int_equal(s.total_as_stored, 82);
    assert_int_equal(s.total_as_fp16, 112);
    assert_int_equal(s.original_fp16, 144);
    assert_int_equal(s.original_as_stored, 68);
    assert_float_equal(lb_ratio_fp16(&s), 7.0 / 9, 1e-15);
    assert_float_equal(lb_ratio_stored(&s), 41.0 / 72, 1e-15);
    assert_true(lb_mib(3.0 * 1024 * 1024) == 3.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layer_errors), cmocka_unit_test(which_errors),
                                       cmocka_unit_test(model_errors), cmocka_unit_test(tokens),
                                       cmocka_unit_test(sizes)};
    return cmocka_run_group_tests_name("result/figures", tests, NULL, NULL);
}
