/* A net whose sites read T x and have W T^-1 computes what it did: programs of 26 model types, every kind of T, sites
 * that share an input with one T and with several, experts and their router; and the same bytes on any number of
 * threads, panels of any length. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "model/forward.h"
#include "support/program_run.h"

enum { KINDS = 4, LONG = 150 };

/* Of a site's input, from a seed: scale and signs, and the largest runs that fit; `kind` says which of them. */
static lb_transform draw(const program_run *x, int64_t cols, uint64_t seed, int kind) {
    lb_rng r = lb_rng_make(seed, 1);
    float *scale = LB_NEW(x->c->arena, float, cols);
    uint8_t *sign = LB_NEW(x->c->arena, uint8_t, cols);
    int64_t n = 1;
    assert_true(scale && sign);
    for (int64_t i = 0; i < cols; i++) {
        scale[i] = (float)exp(0.5 * lb_rng_normal(&r));
        if (lb_rng_uniform(&r) < 0.5) sign[i / 8] |= (uint8_t)(1 << i % 8);
    }
    while (cols % (2 * n) == 0) n *= 2;
    return (lb_transform){.scale = kind != 1 ? scale : NULL,
                          .hadamard = kind != 0 && n > 1 ? n : 0,
                          .sign = kind == 1 || kind == 3 ? sign : NULL};
}

/* Every site of a block gets a T; kind 3: sites that share an input do not share it. */
static lb_weights transformed(const program_run *x, int kind) {
    lb_weights w;
    assert_ok(lb_weights_clone(x->c->arena, x->n, &x->w, &w));
    for (int32_t i = 0; i < x->n->sites; i++) {
        const lb_site *s = &x->n->site[i];
        lb_linop *op = &w.site[i];
        if (s->block < 0 || s->input < 0) continue;
        lb_mat W = program_room(x, s->rows, s->cols);
        for (int64_t k = 0; k < s->rows; k++)
            memcpy(W.d + k * W.ld, op->W.d + k * op->W.ld, (size_t)s->cols * sizeof *W.d);
        op->T = draw(x, s->cols, (uint64_t)(kind == 3 ? 1000 + i : s->input), kind);
        lb_transform_weights(&op->T, W);
        op->W = lb_mat_c(W);
    }
    return w;
}

static void agree(const program_run *x, lb_mat got, lb_mat want, int kind, const char *what) {
    double worst = 0, most = 0;
    for (int64_t i = 0; i < want.rows * want.cols; i++) {
        double d = fabs((double)got.d[i] - (double)want.d[i]);
        worst = d <= worst ? worst : isnan(d) ? INFINITY : d;
        most = fmax(most, fabs((double)want.d[i]));
    }
    if (!(worst < 1e-5 * most)) fail_msg("%s, T %d, %s: off by %g of %g", x->c->name, kind, what, worst, most);
}

static void check_same(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    program_run x = program_open(c);
    lb_mat want = program_room(&x, x.T, x.n->site[x.n->head].cols), ref = program_room(&x, x.T, want.cols);
    assert_ok(lb_forward_ref(x.n, &x.w, x.token, x.T, want));
    for (int kind = 0; kind < KINDS; kind++) {
        lb_weights w = transformed(&x, kind);
        assert_ok(lb_forward_ref(x.n, &w, x.token, x.T, ref));
        agree(&x, ref, want, kind, "reference");
        agree(&x, program_states(&x, &w), want, kind, "executor");
    }
}

static void the_net_computes_what_it_did(void **state) {
    (void)state;
    lb_test_programs(check_same);
}

/* Different T of one input, so that what is prepared is prepared again. */
static void check_threads(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    program_run x = program_open(c);
    lb_weights w = transformed(&x, 3);
    program_lengthen(&x, LONG);
    x.panel = 48;
    program_same_bytes(&x, &w);
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    lb_test_programs(check_threads);
}

/* Captured is what the sites are given, not T of it. */
static void check_captured(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    program_run x = program_open(c);
    lb_weights w = transformed(&x, 2);
    const lb_weights *each[] = {&x.w, &w};
    lb_mat s[2];
    for (int k = 0; k < 2; k++) {
        lb_exec *e;
        s[k] = program_room(&x, x.T, x.n->dim);
        assert_ok(lb_exec_new_panel(c->arena, x.n, x.T, x.panel, NULL, &e));
        assert_ok(lb_exec_embed(e, each[k], x.token, x.T, s[k]));
    }
    for (int32_t i = 0; i < x.n->inputs; i++) {
        if (x.n->input[i].block != 0 || x.n->input[i].expert >= 0) continue;
        lb_tap tap[2];
        for (int k = 0; k < 2; k++) {
            lb_exec *e;
            tap[k] = (lb_tap){.input = i, .to = program_room(&x, x.T, x.n->input[i].cols)};
            lb_capture cap = {.tap = &tap[k], .taps = 1, .stop = true};
            assert_ok(lb_exec_new_panel(c->arena, x.n, x.T, x.panel, NULL, &e));
            assert_ok(lb_exec_block(e, each[k], 0, s[k], &cap));
        }
        agree(&x, tap[1].to, tap[0].to, 2, "captured");
    }
}

static void captured_inputs_are_not_transformed(void **state) {
    (void)state;
    lb_test_programs(check_captured);
}

static int start(void **state) {
    (void)state;
    return lb_blas_init(3) == LB_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_net_computes_what_it_did),
                                       cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
                                       cmocka_unit_test(captured_inputs_are_not_transformed)};
    return cmocka_run_group_tests(tests, start, NULL);
}
