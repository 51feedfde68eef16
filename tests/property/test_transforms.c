/* A net whose sites read T x and have W T^-1 computes what it did: programs of 26 model types, every kind of T, sites
 * that share an input with one T and with several, experts and their router; and the same bytes on any number of
 * threads, panels of any length. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/team.h"
#include "math/blas.h"
#include "model/exec_impl.h"
#include "model/forward.h"
#include "model/weights.h"
#include "support/programs.h"

enum { KINDS = 4, LONG = 150 };

typedef struct world {
    const lb_test_program *c;
    const lb_net *n;
    lb_weights w;
    int32_t *token;
    int64_t T, panel;
    lb_team *team;
} world;

static lb_mat room_for(const world *x, int64_t rows, int64_t cols) {
    lb_mat m = lb_mat_of(LB_NEW(x->c->arena, float, rows *cols), rows, cols);
    assert_non_null(m.d);
    return m;
}

/* Of a site's input, from a seed: scale and signs, and the largest runs that fit; `kind` says which of them. */
static lb_transform draw(const world *x, int64_t cols, uint64_t seed, int kind) {
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
static lb_weights transformed(const world *x, int kind) {
    lb_weights w;
    assert_ok(lb_weights_clone(x->c->arena, x->n, &x->w, &w));
    for (int32_t i = 0; i < x->n->sites; i++) {
        const lb_site *s = &x->n->site[i];
        lb_linop *op = &w.site[i];
        if (s->block < 0 || s->input < 0) continue;
        lb_mat W = room_for(x, s->rows, s->cols);
        for (int64_t k = 0; k < s->rows; k++)
            memcpy(W.d + k * W.ld, op->W.d + k * op->W.ld, (size_t)s->cols * sizeof *W.d);
        op->T = draw(x, s->cols, (uint64_t)(kind == 3 ? 1000 + i : s->input), kind);
        lb_transform_weights(&op->T, W);
        op->W = lb_mat_c(W);
    }
    return w;
}

static lb_mat states(const world *x, const lb_weights *w) {
    lb_arena *a;
    lb_exec *e;
    lb_mat s = room_for(x, x->T, x->n->dim), h = room_for(x, x->T, x->n->site[x->n->head].cols);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_exec_new_panel(a, x->n, x->T, x->panel, x->team, &e));
    assert_ok(lb_exec_embed(e, w, x->token, x->T, s));
    for (int64_t b = 0; b < x->n->blocks; b++) assert_ok(lb_exec_block(e, w, b, s, NULL));
    assert_ok(lb_exec_final(e, w, s, h));
    lb_arena_free(a);
    return h;
}

static void agree(const world *x, lb_mat got, lb_mat want, int kind, const char *what) {
    double worst = 0, most = 0;
    for (int64_t i = 0; i < want.rows * want.cols; i++) {
        double d = fabs((double)got.d[i] - (double)want.d[i]);
        worst = d <= worst ? worst : isnan(d) ? INFINITY : d;
        most = fmax(most, fabs((double)want.d[i]));
    }
    if (!(worst < 1e-5 * most)) fail_msg("%s, T %d, %s: off by %g of %g", x->c->name, kind, what, worst, most);
}

static world open_world(const lb_test_program *c) {
    world x = {.c = c, .n = lb_test_program_net(c), .token = c->token, .T = c->T, .panel = 7};
    x.w = lb_test_program_weights(c, x.n);
    return x;
}

static void check_same(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    lb_mat want = room_for(&x, x.T, x.n->site[x.n->head].cols), ref = room_for(&x, x.T, want.cols);
    assert_ok(lb_forward_ref(x.n, &x.w, x.token, x.T, want));
    for (int kind = 0; kind < KINDS; kind++) {
        lb_weights w = transformed(&x, kind);
        assert_ok(lb_forward_ref(x.n, &w, x.token, x.T, ref));
        agree(&x, ref, want, kind, "reference");
        agree(&x, states(&x, &w), want, kind, "executor");
    }
}

static void the_net_computes_what_it_did(void **state) {
    (void)state;
    lb_test_programs(check_same);
}

/* Different T of one input, so that what is prepared is prepared again. */
static void check_threads(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    lb_weights w = transformed(&x, 3);
    lb_rng r = lb_rng_make(5, 1);
    int64_t most = x.n->context && x.n->context < LONG ? x.n->context : LONG;
    for (int32_t i = 0; i < x.n->before.steps; i++) /* as long as the model knows positions */
        if (x.n->before.step[i].site >= 0 && !x.n->before.step[i].token) most = x.T;
    int32_t *token = LB_NEW(c->arena, int32_t, most);
    assert_non_null(token);
    for (int64_t t = 0; t < most; t++) token[t] = (int32_t)lb_rng_below(&r, x.n->vocab);
    x.token = token;
    x.T = most;
    x.panel = 48;
    lb_mat alone = states(&x, &w);
    for (int threads = 2; threads <= 3; threads++) {
        assert_ok(lb_team_new(threads, &x.team));
        lb_mat h = states(&x, &w);
        if (memcmp(h.d, alone.d, (size_t)(h.rows * h.cols) * sizeof *h.d) != 0)
            fail_msg("%s: other bytes on %d threads", c->name, threads);
        lb_team_free(x.team);
    }
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    lb_test_programs(check_threads);
}

/* Captured is what the sites are given, not T of it. */
static void check_captured(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c);
    lb_weights w = transformed(&x, 2);
    const lb_weights *each[] = {&x.w, &w};
    lb_mat s[2];
    for (int k = 0; k < 2; k++) {
        lb_exec *e;
        s[k] = room_for(&x, x.T, x.n->dim);
        assert_ok(lb_exec_new_panel(c->arena, x.n, x.T, x.panel, NULL, &e));
        assert_ok(lb_exec_embed(e, each[k], x.token, x.T, s[k]));
    }
    for (int32_t i = 0; i < x.n->inputs; i++) {
        if (x.n->input[i].block != 0 || x.n->input[i].expert >= 0) continue;
        lb_tap tap[2];
        for (int k = 0; k < 2; k++) {
            lb_exec *e;
            tap[k] = (lb_tap){.input = i, .to = room_for(&x, x.T, x.n->input[i].cols)};
            lb_capture cap = {&tap[k], 1, true};
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
