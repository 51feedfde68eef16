/* GPTQ against a float64 solver in NumPy (tests/oracle/make_gptq.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/safetensors.h"
#include "math/blas.h"
#include "support/quant_kit.h"

#define FIXTURE "tests/oracle/fixtures/gptq.safetensors"

static const char *const cases[] = {
    "row4",       "row2_act",       "row8",           "tensor3",    "g16",     "g16_small_block",
    "g16_column", "g32_ragged_act", "g16_act_static", "g16_static", "sym_mse", "mse",
    "f16",        "dead",           "dead_row",       "dead_static"};

static lb_mat read(const kit *k, const lb_safetensors *file, const char *name) {
    const lb_tensor *t = lb_safetensors_find(file, name);
    if (!t) fail_msg("%s has no %s", FIXTURE, name);
    float *d = LB_NEW(k->arena, float, lb_tensor_count(t));
    assert_int_equal(lb_tensor_read_f32(t, 0, lb_tensor_count(t), d), LB_OK);
    return lb_mat_of(d, t->shape[0], t->shape[1]);
}

static void one_case(const lb_safetensors *file, const char *name) {
    kit k = kit_open(2);
    lb_mat W = read(&k, file, "w"), want = read(&k, file, name);
    lb_mat h = read(&k, file, strncmp(name, "dead", 4) == 0 ? "h_dead" : "h");
    double *H = LB_NEW(k.arena, double, h.rows *h.cols);
    for (int64_t i = 0; i < h.rows * h.cols; i++) H[i] = (double)h.d[i];
    lb_stats stats = {.H = {H, h.rows, h.cols, h.cols},
                      .tokens = atoll(lb_safetensors_metadata(file, "tokens")),
                      .sequences = atoll(lb_safetensors_metadata(file, "sequences"))};
    lb_layer c = kit_run(&k, "gptq", lb_safetensors_metadata(file, name), W, &stats);
    lb_mat got = kit_dequantize(&k, &c);
    /* both run in float64: no code may differ; a scale may, in its last bit, where it was fitted on updated weights */
    for (int64_t i = 0; i < W.rows * W.cols; i++)
        if (fabs((double)got.d[i] - (double)want.d[i]) > 1e-6 * fabs((double)want.d[i]))
            fail_msg("%s: weight (%lld, %lld) is %.9g, the fixture has %.9g", name, (long long)(i / W.cols),
                     (long long)(i % W.cols), (double)got.d[i], (double)want.d[i]);
    bool dead = strncmp(name, "dead", 4) == 0;
    assert_true(lb_is_told(&c.told, 1) == dead && c.told.value[1] == (dead ? 3 : 0));
    kit_close(&k);
}

static void all_cases(void **state) {
    (void)state;
    lb_safetensors *file = NULL;
    if (lb_safetensors_open(FIXTURE, &file) != LB_OK) fail_msg("%s", lb_error());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) one_case(file, cases[i]);
    lb_safetensors_close(file);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
