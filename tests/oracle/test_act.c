/* Quantized inputs, through stages of a config, against a PyTorch script of SmoothQuant's equations
 * (tests/oracle/make_act.py): per token, per group of its columns, and static from calibration. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "math/blas.h"
#include "model/forward.h"
#include "model/weights.h"
#include "run/cell.h"
#include "support/llama.h"
#include "support/small_model.h"

#define FOLDER "tests/oracle/fixtures/act"

static lb_safetensors *expected;

static int setup(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    small_home = lb_test_tmpdir();
    lb_test_fixture(FOLDER "/expected.safetensors", path);
    return lb_blas_init(1) == LB_OK && lb_safetensors_open(path, &expected) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_safetensors_close(expected);
    return 0;
}

/* Of the quantized model. All codes are the script's, so only sums in float32 differ. */
static lb_status check_states(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    const small_plan *s = user;
    (void)log;
    char name[64];
    lb_model m = *s->plan.model;
    const lb_tensor *tokens = lb_safetensors_find(expected, "tokens");
    int64_t T = lb_tensor_count(tokens), dim = m.net->dim;
    int32_t *token = LB_NEW(s->arena, int32_t, T);
    float *want = LB_NEW(s->arena, float, T *dim);
    assert_true(token && want);
    memcpy(token, tokens->data, (size_t)T * sizeof *token);
    snprintf(name, sizeof name, "%s.h", s->config.name);
    assert_ok(lb_tensor_read_f32(lb_safetensors_find(expected, name), 0, T * dim, want));
    assert_ok(lb_weights_clone(s->arena, m.net, w, &m.weights));
    for (int32_t i = 0; i < m.net->sites; i++) {
        assert_int_equal(m.weights.site[i].act.bits > 0, m.net->site[i].block >= 0);
        assert_ok(lb_matrix_get(&w->site[i], s->arena, NULL, &m.weights.site[i].W));
    }
    lb_mat h = llama_states(&m, token, T), ref = lb_mat_of(LB_NEW(s->arena, float, T *dim), T, dim);
    assert_ok(lb_forward_ref(m.net, &m.weights, token, T, ref));
    for (int64_t i = 0; i < T * dim; i++)
        if (!(fabsf(h.d[i] - want[i]) < 2e-5f && fabsf(ref.d[i] - want[i]) < 2e-5f))
            fail_msg("%s (%s): number %lld is %g, by the reference %g, PyTorch has %g", s->config.name, c->label,
                     (long long)i, (double)h.d[i], (double)ref.d[i], (double)want[i]);
    lb_free(h.d);
    return LB_OK;
}

static void as_pytorch(void **state) {
    (void)state;
    static const char *const names[] = {"token",
                                        "token_symmetric",
                                        "groups",
                                        "groups_symmetric",
                                        "static",
                                        "static_symmetric",
                                        "static_of_the_quantized"};
    char model[LB_TEST_PATH], text[LB_TEST_PATH], yaml[2 * LB_TEST_PATH];
    lb_test_fixture(FOLDER "/model", model);
    lb_test_fixture(FOLDER "/text.txt", text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        small_plan s;
        lb_record r;
        snprintf(yaml, sizeof yaml, "threads: 2\ncalibration: {text: %s, samples: 2, length: 16}\nquantize: [%s]\n",
                 text, lb_safetensors_metadata(expected, names[i]));
        small_plan_open(&s, model, names[i], yaml);
        assert_int_equal(s.plan.sweep.n, 2);
        lb_runner runner = {.plan = &s.plan, .keep = s.arena, .cache = small_home};
        lb_log log = {0};
        runner.log = &log;
        assert_ok(lb_cell_run(&runner, &s.plan.sweep.cell[1], check_states, &s, &r));
        lb_runner_close(&runner);
        small_plan_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch)};
    return cmocka_run_group_tests_name("quantized inputs against PyTorch", tests, setup, teardown);
}
