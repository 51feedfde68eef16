/* Stages one after another against numpy (tests/oracle/make_stages.py): what is kept, codes, scales, zeros, and the
 * product of a low-rank pair. */
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

#define FIXTURE "tests/oracle/fixtures/stages.safetensors"

static lb_safetensors *file;

static const lb_tensor *find(const char *name, const char *part) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return lb_safetensors_find(file, full);
}

static float *floats(const kit *k, const char *name, const char *part, int64_t n) {
    const lb_tensor *t = find(name, part);
    float *d = LB_NEW(k->arena, float, n);
    if (!t || !d) fail_msg("%s has no %s.%s", FIXTURE, name, part);
    assert_int_equal(lb_tensor_count(t), n);
    assert_int_equal(lb_tensor_read_f32(t, 0, n, d), LB_OK);
    return d;
}

static int32_t whole(const char *name, const char *part, int64_t i) {
    int32_t v;
    memcpy(&v, (const char *)find(name, part)->data + 4 * i, 4);
    return v;
}

static lb_layer run_case(const kit *k, const char *name, lb_mat *W) {
    json_t *about = NULL, *v;
    const char *text = lb_safetensors_metadata(file, name), *key;
    char options[256] = "";
    assert_non_null(text);
    assert_int_equal(lb_json_parse(name, text, strlen(text), &about), LB_OK);
    json_object_foreach(about, key, v) {
        size_t used = strlen(options);
        if (strcmp(key, "stages") == 0) continue;
        if (json_is_string(v))
            snprintf(options + used, sizeof options - used, " %s=%s", key, json_string_value(v));
        else
            snprintf(options + used, sizeof options - used, " %s=%g", key, json_number_value(v));
    }
    const lb_tensor *t = find(name, "w");
    int64_t rows = t->shape[0], cols = t->shape[1];
    *W = lb_mat_of(floats(k, name, "w", rows * cols), rows, cols);
    const float *H = floats(k, name, "H", cols * cols);
    double *d = LB_NEW(k->arena, double, cols *cols);
    assert_non_null(d);
    for (int64_t i = 0; i < cols * cols; i++) d[i] = (double)H[i];
    lb_stats stats = {.H = {d, cols, cols, cols}, .tokens = 300, .sequences = 2};
    lb_layer c = kit_run(k, json_string_value(json_object_get(about, "stages")), options, *W, &stats);
    if (lb_layer_check(&c, k->team) != LB_OK) fail_msg("%s: %s", name, lb_error());
    json_decref(about);
    return c;
}

static void check_codes(const kit *k, const char *name, const lb_layer *c) {
    int64_t scales = lb_storage_scales(&c->storage, c->rows, c->cols);
    const float *scale = floats(k, name, "scale", scales), *zero = c->zero ? floats(k, name, "zero", scales) : NULL;
    for (int64_t i = 0; i < scales; i++)
        if (c->scale[i] != scale[i] || (zero && c->zero[i] != zero[i]))
            fail_msg("%s: scale %lld is %.9g, numpy has %.9g", name, (long long)i, (double)c->scale[i],
                     (double)scale[i]);
    for (int64_t i = 0; i < c->rows * c->cols; i++) {
        bool kept = !c->mask || lb_mask_keeps(c->mask + i / c->cols * lb_mask_row_bytes(c->cols), i % c->cols);
        if (kept != (whole(name, "keep", i) != 0))
            fail_msg("%s: weight %lld is %s", name, (long long)i, kept ? "kept" : "pruned");
        if (c->codes[i] != whole(name, "codes", i))
            fail_msg("%s: code %lld is %d, numpy has %d", name, (long long)i, c->codes[i], whole(name, "codes", i));
    }
}

static void check_product(const kit *k, const char *name, const lb_layer *c) {
    lb_layer Q = *c;
    int64_t n = c->rows * c->cols;
    double largest = 0;
    Q.storage.rank = 0;
    Q.A = Q.B = NULL;
    lb_mat both = kit_dequantize(k, c), codes = kit_dequantize(k, &Q);
    const float *product = floats(k, name, "product", n);
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)product[i]));
    for (int64_t i = 0; i < n; i++) {
        double got = (double)both.d[i] - (double)codes.d[i];
        if (!(fabs(got - (double)product[i]) <= 1e-5 * largest))
            fail_msg("%s: product %lld is %.9g, numpy has %.9g", name, (long long)i, got, (double)product[i]);
    }
}

static void as_numpy(void **state) {
    (void)state;
    static const char *const names[] = {"half",      "most",           "2_4",   "solved_half",     "solved_2_4",
                                        "corrected", "corrected_tall", "three", "solved_corrected"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        kit k = kit_open(2);
        lb_mat W;
        lb_layer c = run_case(&k, names[i], &W);
        check_codes(&k, names[i], &c);
        assert_int_equal(c.storage.rank > 0, find(names[i], "product") != NULL);
        if (c.storage.rank > 0) check_product(&k, names[i], &c);
        kit_close(&k);
    }
}

int main(void) {
    if (lb_blas_init(2) != LB_OK || lb_safetensors_open(FIXTURE, &file) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_numpy)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    lb_safetensors_close(file);
    return failed;
}
