/* Loss and gradients of programs of 26 model types against PyTorch (tests/oracle/make_programs.py, which says what is
 * stored of a gradient). */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/backward.h"
#include "support/programs.h"

enum { TOLD = 8, PICKED = 5 }; /* numbers of a gradient: norm, two products, entries */

/* Ours is float32: three blocks of random weights lose about 1e-6 of a gradient's norm. Gradients that are nothing (a
 * bias of keys without positions) are nothing beside the whole gradient. */
static const double tolerance = 1e-4, nothing = 1e-6;

static lb_safetensors *expected;

static const float *gradient_of(const lb_net *n, const lb_grads *g, const char *name, int64_t *size) {
    for (int32_t i = 0; i < n->vectors; i++)
        if (strcmp(n->vector[i].name, name) == 0) {
            *size = n->vector[i].n;
            return g->vector[i];
        }
    /* "2.4.up" of an expert is "2.expert.4.up" */
    long long block, expert;
    char role[32], full[64];
    if (sscanf(name, "%lld.%lld.%31s", &block, &expert, role) == 3)
        snprintf(full, sizeof full, "%lld.expert.%lld.%s", block, expert, role);
    else
        snprintf(full, sizeof full, "%s", name);
    int32_t i = lb_net_find(n, full);
    if (i < 0) return NULL;
    *size = n->site[i].rows * n->site[i].cols;
    return g->site[i].d;
}

/* What is stored of a gradient. */
static void tell(const lb_test_program *c, const char *name, const float *g, int64_t n, double out[TOLD]) {
    double square = 0.0;
    for (int64_t i = 0; i < n; i++) square += (double)g[i] * (double)g[i];
    out[0] = sqrt(square);
    for (int k = 0; k < 2; k++) {
        char drawn[80];
        snprintf(drawn, sizeof drawn, "%s.%s", name, k == 0 ? "first" : "second");
        const float *along = lb_test_draw(c->arena, drawn, n, 0.0, 1.0);
        out[1 + k] = 0.0;
        for (int64_t i = 0; i < n; i++) out[1 + k] += (double)g[i] * (double)along[i];
    }
    for (int64_t i = 0; i < PICKED; i++) out[3 + i] = (double)g[i * (n - 1) / (PICKED - 1)];
}

static void check_row(const lb_test_program *c, const lb_net *n, const lb_grads *g, const char *name,
                      const double *want, double whole) {
    int64_t size = 0;
    double have[TOLD];
    const float *d = gradient_of(n, g, name, &size);
    if (!d && want[0] == 0.0) return; /* it has a second name */
    if (!d) fail_msg("%s: the net has no %s", c->name, name);
    tell(c, name, d, size, have);
    for (int k = 0; k < TOLD; k++) {
        double off = fabs(have[k] - want[k]);
        if (!(off < tolerance * want[0] + nothing * whole))
            fail_msg("%s: gradient of %s: number %d is %g, not %g; norm %g", c->name, name, k, have[k], want[k],
                     want[0]);
    }
}

static void check_gradients(const lb_test_program *c, const lb_net *n, const lb_grads *g) {
    const lb_tensor *x = lb_safetensors_find(expected, c->name);
    assert_non_null(x);
    int64_t rows = x->shape[0], at = 1;
    double whole = 0.0;
    const char *name;
    const json_t *shape;
    assert_int_equal(x->shape[1], TOLD);
    double *want = LB_NEW(c->arena, double, rows *TOLD);
    assert_non_null(want);
    memcpy(want, x->data, (size_t)(rows * TOLD) * sizeof *want);
    for (int64_t r = 1; r < rows; r++) whole += want[r * TOLD] * want[r * TOLD];
    json_object_foreach((json_t *)json_object_get(c->from, "parameters"), name, shape) {
        check_row(c, n, g, name, want + at++ * TOLD, sqrt(whole));
        if (json_number_value(json_array_get(shape, 4)) == 0.0) continue;
        char bias[64];
        snprintf(bias, sizeof bias, "%s.bias", name);
        check_row(c, n, g, bias, want + at++ * TOLD, sqrt(whole));
    }
    assert_int_equal(at, rows);
}

static void check_case(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    const lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    lb_grads g = lb_test_program_grads(c, n);
    lb_backward *b;
    double loss, want;
    if (lb_backward_new(c->arena, n, 1, c->T, &b) != LB_OK) fail_msg("%s: %s", c->name, lb_error());
    if (lb_loss_gradients(b, &w, NULL, 0, c->token, NULL, &g, &loss, NULL, NULL) != LB_OK)
        fail_msg("%s: %s", c->name, lb_error());
    memcpy(&want, lb_safetensors_find(expected, c->name)->data, sizeof want);
    if (!(fabs(loss - want) < 1e-5)) fail_msg("%s: loss %.8g, not %.8g", c->name, loss, want);
    check_gradients(c, n, &g);
}

static void gradients_are_pytorchs(void **state) {
    (void)state;
    lb_test_programs(check_case);
}

int main(void) {
    char path[LB_TEST_PATH];
    if (lb_blas_init(1) != LB_OK) return 1;
    lb_test_fixture("tests/oracle/fixtures/programs-grads.safetensors", path);
    if (lb_safetensors_open(path, &expected) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_pytorchs)};
    int failed = cmocka_run_group_tests_name("gradients of programs", tests, NULL, NULL);
    lb_safetensors_close(expected);
    return failed;
}
