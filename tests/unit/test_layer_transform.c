/* T of the input as a part of a layer: its bytes by hand, what cannot be one, and stages that go on from it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "math/blas.h"
#include "quant/format.h"
#include "support/quant_kit.h"

#define UNIFORM .format = &lb_uniform

/* T after all else: a scale of 16 bits a column, then a bit a column. Codes are for inputs T x, so weights are as they
 * were without it. */
static void transforms_by_hand(void **state) {
    (void)state;
    enum { COLS = 10 };
    kit k = kit_open(1);
    lb_storage s = {UNIFORM,         .bits = 8,     .symmetric = true, .t_scale = true, .t_scale_type = LB_SCALE_F16,
                    .t_hadamard = 2, .t_sign = true};
    lb_layer c, back, other = {0};
    lb_size z;
    lb_packed *kept;
    uint8_t bytes[12 + 4 + 2 * COLS + 2];
    assert_int_equal(lb_layer_new(k.arena, &s, 1, COLS, false, &c), LB_OK);
    float *scale = (float *)(uintptr_t)c.T.scale;
    uint8_t *sign = (uint8_t *)(uintptr_t)c.T.sign;
    for (int i = 0; i < COLS; i++) c.codes[i] = (uint8_t)(120 + i), scale[i] = i % 2 ? -2 : 1;
    c.scale[0] = 0.5f;
    sign[0] = 0x81;
    sign[1] = 0x02;
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    assert_int_equal(z.transform, 2 * COLS + 2);
    assert_int_equal(z.total, (int64_t)sizeof bytes);
    lb_size twice = z;
    lb_size_add(&twice, &z);
    assert_int_equal(twice.transform, 2 * z.transform);
    assert_int_equal(lb_layer_pack(&c, NULL, bytes, sizeof bytes), LB_OK);
    const uint8_t last[] = {0x00, 0x3c, 0x00, 0xc0, 0x81, 0x02};
    assert_memory_equal(bytes + 16, last, 4);
    assert_memory_equal(bytes + 16 + 2 * COLS, last + 4, 2);
    assert_int_equal(lb_layer_unpack(k.arena, &s, 1, COLS, NULL, bytes, sizeof bytes, &back), LB_OK);
    assert_true(lb_transform_same(&c.T, &back.T, COLS));
    assert_int_equal(lb_layer_check(&back, NULL), LB_OK);
    assert_int_equal(lb_packed_new(k.arena, &s, 1, COLS, bytes, sizeof bytes, &kept), LB_OK);
    assert_true(lb_transform_same(&c.T, lb_packed_transform(kept), COLS));
    lb_mat What = kit_dequantize(&k, &back);
    for (int i = 0; i < COLS; i++) assert_true(What.d[i] == 0.5f * (float)(i - 8));

    /* What the yardstick stores has none, and a layer that takes it has it all. */
    lb_storage base = lb_storage_base(&s);
    assert_false(lb_storage_transforms(&base) || lb_storage_plain(&(lb_storage){.format = &lb_f32, .t_sign = true}));
    other.storage = base;
    lb_layer_take_transform(&other, &c);
    assert_true(lb_storage_same(&other.storage, &s) && lb_transform_same(&other.T, &c.T, COLS));

    static const struct {
        float scale;
        uint8_t last; /* of the signs */
        const char *want;
        lb_status st;
    } bad[] = {{0, 2, "T.scale 0 at column 3: must be finite and not 0", LB_E_ARG},
               {INFINITY, 2, "T.scale inf at column 3: must be finite and not 0", LB_E_NUMERIC},
               {0.1f, 2, "T.scale 0.100000001 at column 3: must be a number of its type", LB_E_ARG},
               {1, 4, "T.sign: negates columns beyond the last, 9", LB_E_ARG}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        scale[3] = bad[i].scale;
        sign[1] = bad[i].last;
        assert_int_equal(lb_layer_check(&c, NULL), bad[i].st);
        assert_error_has(bad[i].want);
    }
    scale[3] = 1;
    sign[1] = 2;
    c.T.hadamard = 0;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("T.hadamard = 0: the storage says 2");
    c.T.hadamard = 2;
    c.T.sign = NULL;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("T.sign is missing: int8 row sym had2 signs f16-scale stores it");

    /* Bytes that somebody changed: what they give is looked at like a method's. */
    bytes[sizeof bytes - 1] = 0x04;
    assert_int_equal(lb_layer_unpack(k.arena, &s, 1, COLS, NULL, bytes, sizeof bytes, &back), LB_OK);
    assert_int_equal(lb_layer_check(&back, NULL), LB_E_ARG);
    kit_close(&k);
}

/* Stages keep T of the layer so far, as a stage of block scope may have made it, and neither know nor change it. */
static void stages_keep_it(void **state) {
    (void)state;
    enum { ROWS = 20, COLS = 24 };
    static const char *const more[] = {"wanda+rtn", "wanda+gptq", "wanda+low_rank", "wanda+hqq+low_rank"};
    kit k = kit_open(2);
    lb_arena *scratch = NULL;
    assert_int_equal(lb_arena_new(0, &scratch), LB_OK);
    lb_mat W = kit_random(&k, 7, ROWS, COLS);
    lb_stats stats = kit_stats(&k, 8, 100, COLS);
    static float scale[COLS];
    static const uint8_t sign[COLS / 8] = {1, 2, 3};
    for (int i = 0; i < COLS; i++) scale[i] = 1 + (float)i;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        const lb_method *m = kit_method(&k, more[i]);
        const void *opts = kit_options(&k, m, "");
        lb_layer so_far = kit_run(&k, "wanda", "", W, &stats), plain, with;
        lb_layer_in in = {.name = "0.test",
                          .W = lb_mat_c(W),
                          .so_far = &so_far,
                          .stats = &stats,
                          .scratch = scratch,
                          .arena = k.arena,
                          .team = k.team};
        if (lb_method_layer(m, &in, opts, &plain) != LB_OK) fail_msg("%s: %s", more[i], lb_error());
        const lb_storage t = {.t_scale = true, .t_hadamard = 8, .t_sign = true};
        lb_storage_take_transform(&so_far.storage, &t);
        so_far.T = (lb_transform){scale, 8, sign};
        if (lb_method_layer(m, &in, opts, &with) != LB_OK) fail_msg("%s: %s", more[i], lb_error());
        assert_int_equal(lb_layer_check(&with, k.team), LB_OK);
        assert_true(with.storage.t_scale && with.storage.t_hadamard == 8 && with.storage.t_sign);
        assert_true(lb_transform_same(&with.T, &so_far.T, COLS) && !lb_storage_transforms(&plain.storage));
        lb_mat a = kit_dequantize(&k, &plain), b = kit_dequantize(&k, &with);
        assert_memory_equal(a.d, b.d, sizeof(float) * ROWS * COLS);
    }
    lb_arena_free(scratch);
    kit_close(&k);
}

static lb_status turned(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = (lb_storage){UNIFORM, .bits = 4, .t_hadamard = 8};
    return LB_OK;
}

static lb_status never(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)in, (void)opts, (void)out;
    fail_msg("it was refused");
    return LB_OK;
}

/* What no preserving stage made would be measured in other coordinates than its target's. */
static void of_no_method_itself(void **state) {
    (void)state;
    static const lb_method own = {
        .api = LB_METHOD_API, .name = "own", .summary = "own", .spec = turned, .layer = never};
    const lb_method *stage[] = {&own, lb_method_find("low_rank")}, *m;
    kit k = kit_open(1);
    lb_storage s;
    assert_int_equal(lb_method_spec(&own, NULL, 32, 32, &s), LB_E_ARG);
    assert_error_has("method own: its spec has a transform of the input");
    assert_int_equal(lb_pipeline_new(k.arena, stage, 2, &m), LB_OK);
    assert_int_equal(lb_method_spec(m, kit_options(&k, m, ""), 32, 32, &s), LB_E_ARG);
    assert_error_has("method own+low_rank: its spec has a transform of the input");
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(2) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(transforms_by_hand), cmocka_unit_test(stages_keep_it),
                                       cmocka_unit_test(of_no_method_itself)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
