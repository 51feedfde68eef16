/* Number formats and the search for zeros against other programs (tests/oracle/make_formats.py): codes, scales, zeros
 * and, through them, the weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/json.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "support/quant_kit.h"

#define FIXTURE "tests/oracle/fixtures/formats.safetensors"

static lb_safetensors *file;

static const lb_tensor *find(const char *name, const char *part, int64_t n) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    const lb_tensor *t = lb_safetensors_find(file, full);
    if (!t) fail_msg("%s has no %s", FIXTURE, full);
    assert_int_equal(lb_tensor_count(t), n);
    return t;
}

static float *floats(const kit *k, const char *name, const char *part, int64_t n) {
    float *d = LB_NEW(k->arena, float, n);
    assert_non_null(d);
    assert_int_equal(lb_tensor_read_f32(find(name, part, n), 0, n, d), LB_OK);
    return d;
}

static int32_t whole(const lb_tensor *t, int64_t i) {
    int32_t v;
    memcpy(&v, (const char *)t->data + 4 * i, 4);
    return v;
}

/* Name and options of a case, from its metadata: everything but the method and the shape is an option. */
static lb_layer run_case(const kit *k, const char *name, lb_mat *W) {
    json_t *about = NULL, *v;
    const char *text = lb_safetensors_metadata(file, name), *key;
    char options[256] = "";
    int64_t rows = 0, cols = 0;
    assert_non_null(text);
    assert_int_equal(lb_json_parse(name, text, strlen(text), &about), LB_OK);
    assert_int_equal(lb_json_int(name, about, "rows", &rows), LB_OK);
    assert_int_equal(lb_json_int(name, about, "cols", &cols), LB_OK);
    const char *method = json_string_value(json_object_get(about, "method"));
    json_object_foreach(about, key, v) {
        if (strcmp(key, "method") == 0 || strcmp(key, "rows") == 0 || strcmp(key, "cols") == 0) continue;
        size_t used = strlen(options);
        if (json_is_string(v))
            snprintf(options + used, sizeof options - used, " %s=%s", key, json_string_value(v));
        else if (json_is_boolean(v))
            snprintf(options + used, sizeof options - used, " %s=%s", key, json_is_true(v) ? "true" : "false");
        else if (strcmp(key, "group") == 0 && json_integer_value(v) == 0)
            snprintf(options + used, sizeof options - used, " group=row");
        else
            snprintf(options + used, sizeof options - used, " %s=%lld", key, (long long)json_integer_value(v));
    }
    *W = lb_mat_of(floats(k, name, "w", rows * cols), rows, cols);
    lb_stats stats = {.H = {0}, .tokens = 200, .sequences = 2};
    char input[64];
    snprintf(input, sizeof input, "%s.H", name);
    if (lb_safetensors_find(file, input)) {
        const float *H = floats(k, name, "H", cols * cols);
        double *d = LB_NEW(k->arena, double, cols *cols);
        assert_non_null(d);
        for (int64_t i = 0; i < cols * cols; i++) d[i] = (double)H[i];
        stats.H = (lb_cdmat){d, cols, cols, cols};
    }
    lb_layer c = kit_run(k, method, options, *W, stats.H.d ? &stats : NULL);
    assert_int_equal(lb_layer_check(&c, k->team), LB_OK);
    json_decref(about);
    return c;
}

/* Relative 1e-5 of zeros as codes count, which are at least of the size of 1. */
static void near(const char *name, const char *part, const float *got, const float *want, int64_t n, float least) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-5f * fmaxf(fabsf(want[i]), least)))
            fail_msg("%s.%s[%lld] is %.9g, hqq has %.9g", name, part, (long long)i, (double)got[i], (double)want[i]);
}

static void hqq(void **state) {
    (void)state;
    static const char *const names[] = {"hqq_4_64", "hqq_3_32",    "hqq_2_16",   "hqq_8_64",
                                        "hqq_1_32", "hqq_4_round", "hqq_4_start"};
    int64_t ties = 0, all = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kit k = kit_open(2);
        lb_mat W;
        lb_layer c = run_case(&k, names[i], &W);
        int64_t n = W.rows * W.cols, scales = lb_storage_scales(&c.storage, W.rows, W.cols);
        near(names[i], "scale", c.scale, floats(&k, names[i], "scale", scales), scales, 0);
        near(names[i], "zero", c.zero, floats(&k, names[i], "zero", scales), scales, 1);
        const lb_tensor *codes = find(names[i], "codes", n), *tie = find(names[i], "near", n);
        for (int64_t at = 0; at < n; at++) {
            all++;
            if (c.codes[at] == whole(codes, at)) continue;
            if (!whole(tie, at))
                fail_msg("%s: code %lld is %d, hqq has %d", names[i], (long long)at, c.codes[at], whole(codes, at));
            ties++;
        }
        kit_close(&k);
    }
    assert_true(ties * 100 < all);
}

static void elements(void **state) {
    (void)state;
    static const char *const names[] = {"fp8_row", "fp8_24", "mxfp4", "mxfp4_ragged"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kit k = kit_open(2);
        lb_mat W;
        lb_layer c = run_case(&k, names[i], &W);
        int64_t n = W.rows * W.cols, scales = lb_storage_scales(&c.storage, W.rows, W.cols);
        const float *scale = floats(&k, names[i], "scale", scales);
        const lb_tensor *codes = find(names[i], "codes", n);
        for (int64_t at = 0; at < scales; at++)
            if (c.scale[at] != scale[at])
                fail_msg("%s: scale %lld is %.9g, expected %.9g", names[i], (long long)at, (double)c.scale[at],
                         (double)scale[at]);
        for (int64_t at = 0; at < n; at++)
            if (c.codes[at] != whole(codes, at))
                fail_msg("%s: code %lld of %.9g is %d, ml_dtypes has %d", names[i], (long long)at, (double)W.d[at],
                         c.codes[at], whole(codes, at));
        kit_close(&k);
    }
}

static void masks(void **state) {
    (void)state;
    static const char *const names[] = {"wanda_half", "wanda_third", "wanda_2_4", "wanda_4_8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kit k = kit_open(2);
        lb_mat W;
        lb_layer c = run_case(&k, names[i], &W);
        int64_t n = W.rows * W.cols;
        const lb_tensor *keep = find(names[i], "codes", n);
        for (int64_t at = 0; at < n; at++) {
            bool kept = lb_mask_keeps(c.mask + at / W.cols * lb_mask_row_bytes(W.cols), at % W.cols);
            if (kept != (whole(keep, at) != 0))
                fail_msg("%s: weight %lld is %s", names[i], (long long)at, kept ? "kept" : "pruned");
            assert_true(c.dense[at] == (kept ? W.d[at] : 0));
        }
        kit_close(&k);
    }
}

/* The product and the weighted error, not the factors, which have signs and an order of their own. */
static void low_rank(void **state) {
    (void)state;
    static const char *const names[] = {"low_rank_wide", "low_rank_tall"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kit k = kit_open(2);
        lb_mat W;
        lb_layer c = run_case(&k, names[i], &W), Q = c;
        int64_t n = W.rows * W.cols;
        Q.storage.rank = 0;
        Q.A = Q.B = NULL;
        lb_mat whole_w = kit_dequantize(&k, &c), codes = kit_dequantize(&k, &Q);
        const float *product = floats(&k, names[i], "product", n), *q = floats(&k, names[i], "q", n);
        const float *H = floats(&k, names[i], "H", W.cols * W.cols), *want = floats(&k, names[i], "error", 1);
        double error = 0, scale = 0;
        for (int64_t at = 0; at < n; at++) scale = fmax(scale, fabs((double)product[at]));
        for (int64_t at = 0; at < n; at++) {
            assert_true(codes.d[at] == q[at]);
            double got = (double)whole_w.d[at] - (double)codes.d[at];
            if (!(fabs(got - (double)product[at]) <= 1e-5 * scale))
                fail_msg("%s: product %lld is %.9g, numpy has %.9g", names[i], (long long)at, got, (double)product[at]);
        }
        for (int64_t r = 0; r < W.rows; r++)
            for (int64_t a = 0; a < W.cols; a++)
                for (int64_t b = 0; b < W.cols; b++)
                    error += ((double)W.d[r * W.cols + a] - (double)whole_w.d[r * W.cols + a]) *
                             (double)H[a * W.cols + b] *
                             ((double)W.d[r * W.cols + b] - (double)whole_w.d[r * W.cols + b]);
        assert_true(fabs(error - (double)*want) <= 1e-5 * (double)*want);
        kit_close(&k);
    }
}

/* What is beyond the largest number becomes it: 448, code 126; 464 and more would round to the code of NaN. */
static void fp8_saturates(void **state) {
    (void)state;
    static const float x[] = {447.0f, 448.0f, 463.0f, 464.0f, 470.0f, 480.0f, 1e4f, 3e38f};
    const lb_format *f = lb_format_find("fp8");
    const lb_storage s = {.format = f, .bits = 8, .group = LB_GROUP_ROW};
    assert_non_null(f);
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        const float both[] = {x[i], -x[i]};
        uint8_t code[2];
        f->encode(&s, both, 2, 1.0f, 0.0f, code);
        assert_int_equal(code[0], 126);
        assert_int_equal(code[1], 128 + 126);
    }
}

int main(void) {
    if (lb_blas_init(2) != LB_OK || lb_safetensors_open(FIXTURE, &file) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(fp8_saturates), cmocka_unit_test(hqq),
                                       cmocka_unit_test(elements), cmocka_unit_test(masks), cmocka_unit_test(low_rank)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    lb_safetensors_close(file);
    return failed;
}
