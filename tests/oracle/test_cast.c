/* Weights as float16 and bfloat16 against PyTorch (tests/oracle/make_cast.py), bit for bit, as layer and as its packed
 * bytes; the mean NLL of a small model with such weights; and what the types have no place for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "eval/install.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "support/llama.h"
#include "support/quant_kit.h"
#include "support/support.h"

#define FIXTURE "tests/oracle/fixtures/cast.safetensors"
static const char *const types[] = {"f16", "bf16"};
static lb_safetensors *file;

static const lb_tensor *find(const char *name) {
    const lb_tensor *t = lb_safetensors_find(file, name);
    if (!t) fail_msg("%s has no %s", FIXTURE, name);
    return t;
}

static void bits_are_pytorchs(void **state) {
    (void)state;
    kit k = kit_open(3);
    const lb_tensor *w = find("w");
    lb_mat W = lb_mat_of(LB_NEW(k.arena, float, lb_tensor_count(w)), w->shape[0], w->shape[1]);
    int64_t n = W.rows * W.cols;
    assert_ok(lb_tensor_read_f32(w, 0, n, W.d));
    for (int t = 0; t < 2; t++) {
        char options[16];
        const lb_tensor *want = find(types[t]);
        snprintf(options, sizeof options, "type=%s", types[t]);
        lb_layer c = kit_run(&k, "cast", options, W, NULL);
        assert_ok(lb_layer_check(&c, k.team));
        lb_size size;
        assert_ok(lb_layer_size(&c, &size));
        assert_true(size.total == 2 * n && size.codes == size.total); /* 16 bits a weight, and nothing beside them */
        uint8_t *bytes = malloc((size_t)size.total);
        assert_ok(lb_layer_pack(&c, k.team, bytes, size.total));
        for (int64_t i = 0; i < n; i++) {
            int32_t bits;
            memcpy(&bits, (const char *)want->data + 4 * i, 4);
            float value = t ? lb_bf16_to_f32((uint16_t)bits) : lb_f16_to_f32((uint16_t)bits);
            if (lb_f32_bits(c.dense[i]) != lb_f32_bits(value) || (bytes[2 * i] | bytes[2 * i + 1] << 8) != bits)
                fail_msg("%s: %.9g is %.9g, bytes %02x%02x: PyTorch has %04x", types[t], (double)W.d[i],
                         (double)c.dense[i], bytes[2 * i + 1], bytes[2 * i], (unsigned)bits);
        }
        free(bytes);
    }
    kit_close(&k);
}

/* Every matrix of a block times 0.7; options NULL: not rounded. */
static double nll_of(const char *options) {
    char path[LB_TEST_PATH];
    lb_model *m;
    lb_mat logits;
    int32_t *token;
    kit k = kit_open(2);
    lb_test_fixture("tests/oracle/fixtures/llama-tiny", path);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    llama_expected(k.arena, "llama-tiny", &token, &logits);
    for (int32_t s = 0; s < m->net->sites; s++) {
        lb_cmat from = m->weights.site[s].W;
        if (m->net->site[s].block < 0) continue;
        lb_mat W = lb_mat_of(LB_NEW(k.arena, float, from.rows *from.cols), from.rows, from.cols);
        for (int64_t i = 0; i < from.rows * from.cols; i++) W.d[i] = from.d[i] * 0.7f;
        if (options) {
            lb_layer c = kit_run(&k, "cast", options, W, NULL);
            W = kit_dequantize(&k, &c);
        }
        lb_install_matrix(m->net, &m->weights, s, lb_mat_c(W));
    }
    int64_t n = logits.rows;
    lb_mat h = llama_states(m, token, n);
    double nll[64], sum = 0;
    assert_true(n <= 64);
    assert_ok(lb_head_nll(lb_head_of(m->net, &m->weights), lb_mat_c(lb_mat_part(h, 0, 0, n - 1, h.cols)), token + 1,
                          nll, NULL));
    for (int64_t i = 0; i < n - 1; i++) sum += nll[i];
    lb_free(h.d);
    lb_model_close(m);
    kit_close(&k);
    return sum / (double)(n - 1);
}

/* The types differ from each other and from float32 by 3e-5 and more. */
static void a_models_nll(void **state) {
    (void)state;
    static const char *const name[] = {"nll.f32", "nll.f16", "nll.bf16"};
    static const char *const options[] = {NULL, "type=f16", "type=bf16"};
    for (int i = 0; i < 3; i++) {
        double want, got = nll_of(options[i]);
        memcpy(&want, find(name[i])->data, sizeof want);
        if (!(fabs(got - want) < 2e-6)) fail_msg("%s is %.9f, PyTorch has %.9f", name[i], got, want);
    }
}

static void no_place(void **state) {
    (void)state;
    static const struct {
        const char *options;
        float value;
        const char *message;
    } one[] = {
        {"type=f16", 65520, "layer 0.test: row 2, column 5: weight 65520: must be at most 65504, the largest float16"},
        {"type=f16", -1e9f, "weight -1e+09: must be at least -65504, the largest float16"},
        {"type=bf16", 3.4e38f, "weight 3.4e+38: must be at most 3.38953e+38, the largest bfloat16"},
        {"type=f16", NAN, "layer 0.test: row 2, column 5: weight nan: must be finite"},
        {"type=bf16", NAN, "row 2, column 5: weight nan: must be finite"},
        {"type=bf16", -INFINITY, "weight -inf: must be at least"},
    };
    kit k = kit_open(1);
    lb_layer c;
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        lb_mat W = kit_random(&k, 3, 4, 16);
        W.d[2 * 16 + 5] = one[i].value;
        assert_int_equal(kit_try(&k, "cast", one[i].options, W, NULL, &c), LB_E_NUMERIC);
        assert_error_has(one[i].message);
    }
    kit_close(&k);
}

/* A layer that claims such a type holds its values alone. */
static void others_are_no_such_layer(void **state) {
    (void)state;
    kit k = kit_open(1);
    lb_layer c = kit_run(&k, "cast", "type=bf16", kit_random(&k, 3, 4, 16), NULL);
    c.dense[7] = 0.1f;
    assert_int_equal(lb_layer_check(&c, NULL), LB_E_ARG);
    assert_error_has("weight 0.100000001 at row 0, column 7: must be a bfloat16, as which it would be 0.100097656");
    kit_close(&k);
}

/* Of pruned floats it rounds those that are kept; what comes behind it rounds what it made. */
static void as_a_stage(void **state) {
    (void)state;
    kit k = kit_open(2);
    lb_stats stats = kit_stats(&k, 4, 200, 32);
    lb_mat W = kit_random(&k, 4, 8, 32);
    lb_layer plain = kit_run(&k, "wanda", "", W, &stats), both = kit_run(&k, "wanda+cast", "type=bf16", W, &stats);
    assert_ok(lb_layer_check(&both, k.team));
    assert_memory_equal(plain.mask, both.mask, 8 * (size_t)lb_mask_row_bytes(32));
    lb_layer rounded = kit_run(&k, "cast", "type=bf16", W, NULL);
    for (int64_t i = 0; i < 8 * 32; i++)
        assert_true(both.dense[i] == (lb_mask_keeps(both.mask + i / 32 * 4, i % 32) ? rounded.dense[i] : 0));
    lb_layer after = kit_run(&k, "cast+rtn", "type=bf16 bits=8", W, NULL);
    lb_layer same = kit_run(&k, "rtn", "bits=8", kit_dequantize(&k, &rounded), NULL);
    assert_memory_equal(after.codes, same.codes, 8 * 32);
    assert_memory_equal(after.scale, same.scale, 8 * sizeof(float));
    assert_int_equal(kit_try(&k, "rtn+cast", "bits=4", W, NULL, &after), LB_E_UNSUPPORTED);
    assert_error_has("rounds floats, and the layer so far is int4 row asym: it must come before that");
    kit_close(&k);
}

int main(void) {
    if (lb_blas_init(2) != LB_OK || lb_safetensors_open(FIXTURE, &file) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_pytorchs),        cmocka_unit_test(a_models_nll), cmocka_unit_test(no_place),
        cmocka_unit_test(others_are_no_such_layer), cmocka_unit_test(as_a_stage),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    lb_safetensors_close(file);
    return failed;
}
