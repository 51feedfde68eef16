/* NF4 and FP4 against bitsandbytes (tests/oracle/make_nf4.py): every code, absmax, 8-bit scale code and dequantized
 * value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support/quant_kit.h"

#define FIXTURE "tests/oracle/fixtures/nf4.safetensors"

static lb_safetensors *file;

static float *read(const kit *k, const char *name, const char *part, int64_t *n) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    const lb_tensor *t = lb_safetensors_find(file, full);
    if (!t) fail_msg("%s has no %s", FIXTURE, full);
    *n = lb_tensor_count(t);
    float *d = LB_NEW(k->arena, float, *n);
    assert_int_equal(lb_tensor_read_f32(t, 0, *n, d), LB_OK);
    return d;
}

/* Codes of `bits` bits from the int32 that hold them. */
static void assert_codes(const char *name, const char *part, const uint8_t *codes, int64_t n, int bits) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, part);
    const lb_tensor *t = lb_safetensors_find(file, full);
    assert_non_null(t);
    assert_int_equal(lb_tensor_count(t), (n * bits + 31) / 32);
    for (int64_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, (const char *)t->data + i * bits / 32 * 4, 4);
        uint32_t want = word >> (i * bits % 32) & ((1u << bits) - 1);
        if (codes[i] != want) fail_msg("%s: code %lld is %d, bitsandbytes has %u", full, (long long)i, codes[i], want);
    }
}

static void assert_floats(const char *name, const char *part, const float *got, const float *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s.%s[%lld] is %.9g, bitsandbytes has %.9g", name, part, (long long)i, (double)got[i],
                     (double)want[i]);
}

static void one_case(const char *name) {
    kit k = kit_open(2);
    json_t *about = NULL;
    const char *text = lb_safetensors_metadata(file, name), *format = NULL, *sha256 = NULL;
    int64_t block = 0, rows = 0, cols = 0, n = 0;
    assert_non_null(text);
    assert_int_equal(lb_json_parse(name, text, strlen(text), &about), LB_OK);
    assert_int_equal(lb_json_str(name, about, "format", &format), LB_OK);
    assert_int_equal(lb_json_str(name, about, "sha256", &sha256), LB_OK);
    assert_int_equal(lb_json_int(name, about, "block", &block), LB_OK);
    assert_int_equal(lb_json_int(name, about, "rows", &rows), LB_OK);
    assert_int_equal(lb_json_int(name, about, "cols", &cols), LB_OK);
    bool dq = json_is_true(json_object_get(about, "double_quant"));

    char options[96], hex[LB_HASH_HEX];
    snprintf(options, sizeof options, "format=%s group=%lld double_quant=%s", format, (long long)block,
             dq ? "true" : "false");
    lb_mat W = lb_mat_of(read(&k, name, "w", &n), rows, cols);
    assert_int_equal(n, rows * cols);
    lb_layer c = kit_run(&k, "nf4", options, W, NULL);
    assert_codes(name, "codes", c.codes, rows * cols, 4);
    if (dq) {
        const float *mean = read(&k, name, "mean", &n);
        assert_floats(name, "mean", &c.dq_mean, mean, 1);
        const float *scale = read(&k, name, "dq_scale", &n);
        assert_floats(name, "dq_scale", c.dq_scale, scale, n);
        const float *absmax = read(&k, name, "absmax", &n);
        assert_codes(name, "dq_codes", c.dq_code, n, 8);
        assert_floats(name, "absmax", c.scale, absmax, n);
    } else {
        const float *absmax = read(&k, name, "absmax", &n);
        assert_floats(name, "absmax", c.scale, absmax, n);
    }
    assert_int_equal(n, lb_storage_scales(&c.storage, rows, cols));
    lb_mat What = kit_dequantize(&k, &c);
    for (int64_t i = 0; i < rows * cols; i++) What.d[i] += 0.0f; /* every zero positive, as in the fixture */
    assert_int_equal(lb_hash_bytes(What.d, (size_t)(rows * cols) * sizeof(float), hex), LB_OK);
    assert_string_equal(hex, sha256);
    json_decref(about);
    kit_close(&k);
}

static void all_cases(void **state) {
    (void)state;
    static const char *const name[] = {"nf4_64", "fp4_64", "nf4_32_ragged", "fp4_128_ragged", "nf4_32_dq", "fp4_64_dq"};
    if (lb_safetensors_open(FIXTURE, &file) != LB_OK) fail_msg("%s", lb_error());
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) one_case(name[i]);
    lb_safetensors_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
