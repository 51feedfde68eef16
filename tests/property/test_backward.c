/* Gradients against finite differences on a model that is larger than every tile: several panels of rows, tiles of
 * queries, tiles of weights, chunks of vocabulary and groups of rows at the head. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/weights.h"
#include "support/llama.h"

enum { BATCH = 8, LENGTH = 130 };

typedef struct setup {
    lb_model *m;
    lb_arena *a;
    lb_team *team;
    lb_backward *b;
    int32_t tokens[BATCH * LENGTH];
} setup;

static void open_setup(setup *s, bool tied, lb_rope_layout rope) {
    lb_arch arch = {.layers = 2,
                    .dim = 96,
                    .hidden = 520,
                    .heads = 6,
                    .kv_heads = 2,
                    .head_dim = 16,
                    .vocab = 1100,
                    .context = 256,
                    .rope_base = 10000,
                    .norm_eps = 1e-5,
                    .rope = rope,
                    .tied = tied};
    assert_ok(lb_model_new(&arch, NULL, 5, &s->m));
    assert_ok(lb_arena_new(0, &s->a));
    assert_ok(lb_team_new(1, &s->team));
    assert_ok(lb_backward_new(s->a, s->m->net, BATCH, LENGTH, &s->b));
    lb_rng r = lb_rng_make(9, 9);
    for (int i = 0; i < BATCH * LENGTH; i++) s->tokens[i] = (int32_t)lb_rng_below(&r, arch.vocab);
    /* Away from the start of training, where many gradients are next to nothing. */
    for (int32_t slot = 0; slot < s->m->net->slots; slot++) {
        int64_t rows, cols;
        float *w = (float *)(uintptr_t)lb_slot_get(s->m->net, &s->m->weights, slot);
        lb_slot_shape(s->m->net, slot, &rows, &cols);
        for (int64_t i = 0; i < rows * cols; i++) w[i] = rows == 1 ? w[i] + (float)(0.2 * lb_rng_normal(&r)) : 5 * w[i];
    }
}

static void close_setup(setup *s) {
    lb_arena_free(s->a);
    lb_team_free(s->team);
    lb_model_close(s->m);
}

static double loss_of(setup *s, const lb_weights *teacher, double kl_weight) {
    double loss;
    assert_ok(lb_loss_gradients(s->b, &s->m->weights, teacher, kl_weight, s->tokens, s->team, NULL, &loss, NULL, NULL));
    return loss;
}

/* Gradients of every tensor, by slot. */
static void all_gradients(setup *s, const lb_weights *teacher, double kl_weight, float **grad) {
    const lb_net *n = s->m->net;
    lb_grads g;
    assert_ok(lb_grads_new(s->a, n, &g));
    for (int32_t slot = 0; slot < n->slots; slot++) {
        int64_t rows, cols;
        lb_slot_shape(n, slot, &rows, &cols);
        float *d = grad[slot] = LB_NEW(s->a, float, rows *cols);
        assert_non_null(d);
        for (int64_t i = 0; i < rows * cols; i++) d[i] = NAN; /* overwritten, not added to */
        if (n->slot[slot].site >= 0)
            g.site[n->slot[slot].site] = lb_mat_of(d, rows, cols);
        else
            g.vector[n->slot[slot].vector] = d;
    }
    double loss;
    assert_ok(lb_loss_gradients(s->b, &s->m->weights, teacher, kl_weight, s->tokens, s->team, &g, &loss, NULL, NULL));
}

/* "down" of every block. */
static const char *role_of(const lb_net *n, int32_t slot) {
    const lb_net_slot *s = &n->slot[slot];
    return s->site >= 0 ? n->site[s->site].role : n->vector[s->vector].role;
}

/* All tensors of a kind at a time. Along a random direction d of unit entries, g·d has standard deviation |g|: a part
 * of g that is missing or wrong shows as that part of |g|. The step moves no weight by more than about a hundredth of
 * its size, so that what the central difference leaves, of third order, is below 1e-3 of |g|, and the loss by 1e-4 and
 * more, a thousand times its noise. */
static void check_kind(setup *s, const char *kind, const lb_weights *teacher, double kl_weight, float **grad) {
    const lb_net *net = s->m->net;
    float *w[8], *keep[8], *d[8];
    int64_t n[8], found = 0;
    int32_t slot[8];
    double along = 0, norm = 0, side[2];
    for (int32_t i = 0; i < net->slots; i++) {
        int64_t rows, cols;
        if (strcmp(role_of(net, i), kind) != 0) continue;
        assert_true(found < 8);
        int64_t f = found++;
        slot[f] = i;
        w[f] = (float *)(uintptr_t)lb_slot_get(net, &s->m->weights, i);
        lb_slot_shape(net, i, &rows, &cols);
        n[f] = rows * cols;
        assert_non_null(keep[f] = LB_NEW(s->a, float, n[f]));
        assert_non_null(d[f] = LB_NEW(s->a, float, n[f]));
        memcpy(keep[f], w[f], (size_t)n[f] * sizeof **w);
        lb_rng r = lb_rng_make(77, (uint64_t)i);
        for (int64_t k = 0; k < n[f]; k++) {
            d[f][k] = (float)lb_rng_normal(&r);
            along += (double)grad[i][k] * (double)d[f][k];
            norm += (double)grad[i][k] * (double)grad[i][k];
        }
    }
    norm = sqrt(norm);
    assert_true(found > 0);
    assert_true(norm > 1e-6);
    double step = fmin(2e-3 / norm, 1e-3);
    for (int k = 0; k < 2; k++) {
        for (int64_t f = 0; f < found; f++)
            for (int64_t i = 0; i < n[f]; i++) w[f][i] = keep[f][i] + (float)(k ? step : -step) * d[f][i];
        side[k] = loss_of(s, teacher, kl_weight);
    }
    for (int64_t f = 0; f < found; f++) memcpy(w[f], keep[f], (size_t)n[f] * sizeof **w);
    double measured = (side[1] - side[0]) / (2 * step);
    if (!(fabs(measured - along) < 0.02 * norm))
        fail_msg("%s: along a random direction %g by differences, %g by the gradient; norm %g",
                 s->m->tensor[slot[0]].name, measured, along, norm);
}

static void check_all(bool tied, lb_rope_layout rope, double kl_weight) {
    static setup s;
    float *grad[64];
    open_setup(&s, tied, rope);
    lb_weights teacher;
    lb_model *other = NULL;
    if (kl_weight > 0) {
        const lb_arch arch = llama_arch(s.m);
        assert_ok(lb_model_new(&arch, NULL, 6, &other));
        teacher = other->weights;
    }
    all_gradients(&s, kl_weight > 0 ? &teacher : NULL, kl_weight, grad);
    for (int32_t i = 0; i < s.m->net->slots; i++) {
        int32_t earlier = 0;
        const char *kind = role_of(s.m->net, i);
        while (strcmp(role_of(s.m->net, earlier), kind) != 0) earlier++;
        if (earlier == i) check_kind(&s, kind, kl_weight > 0 ? &teacher : NULL, kl_weight, grad);
    }
    lb_model_close(other);
    close_setup(&s);
}

static void untied_pairs(void **state) {
    (void)state;
    check_all(false, LB_ROPE_PAIRS, 0);
}

static void tied_halves_kl(void **state) {
    (void)state;
    check_all(true, LB_ROPE_HALVES, 0.6);
}

/* The loss is the mean NLL that the forward pass alone gives. */
static void loss_is_nll(void **state) {
    (void)state;
    static setup s;
    open_setup(&s, false, LB_ROPE_HALVES);
    const lb_arch arch = llama_arch(s.m), *a = &arch;
    lb_mat h = lb_mat_of(LB_NEW(s.a, float, LENGTH * a->dim), LENGTH, a->dim);
    double sum = 0, nll[LENGTH];
    int32_t target[LENGTH];
    for (int k = 0; k < BATCH; k++) {
        const int32_t *t = s.tokens + k * LENGTH;
        assert_ok(lb_forward_ref(s.m->net, &s.m->weights, t, LENGTH, h));
        memcpy(target, t + 1, (LENGTH - 1) * sizeof *t);
        target[LENGTH - 1] = -1;
        assert_ok(lb_head_nll(lb_head_of(s.m->net, &s.m->weights), lb_mat_c(h), target, nll, NULL));
        for (int i = 0; i < LENGTH - 1; i++) sum += nll[i];
    }
    double loss = loss_of(&s, NULL, 0), want = sum / (BATCH * (LENGTH - 1));
    assert_true(fabs(loss - want) < 2e-6 * want);
    close_setup(&s);
}

static void refusals(void **state) {
    (void)state;
    static setup s;
    open_setup(&s, true, LB_ROPE_HALVES);
    lb_backward *b;
    double loss;
    assert_status(LB_E_ARG, lb_backward_new(s.a, s.m->net, 1, 257, &b));
    assert_error_has("length = 257: must be in [2, 256]");
    assert_status(LB_E_ARG, lb_backward_new(s.a, s.m->net, 1, 1, &b));
    assert_status(LB_E_ARG, lb_backward_new(s.a, s.m->net, 0, 16, &b));
    assert_error_has("batch = 0");
    assert_status(LB_E_ARG,
                  lb_loss_gradients(s.b, &s.m->weights, NULL, 0.5, s.tokens, s.team, NULL, &loss, NULL, NULL));
    assert_error_has("needs the original model");
    assert_status(LB_E_ARG,
                  lb_loss_gradients(s.b, &s.m->weights, NULL, 1.5, s.tokens, s.team, NULL, &loss, NULL, NULL));
    s.tokens[300] = 1100;
    assert_status(LB_E_ARG, lb_loss_gradients(s.b, &s.m->weights, NULL, 0, s.tokens, s.team, NULL, &loss, NULL, NULL));
    assert_error_has("1100");
    close_setup(&s);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(untied_pairs), cmocka_unit_test(tied_halves_kl),
                                       cmocka_unit_test(loss_is_nll), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests_name("gradients by differences", tests, NULL, NULL);
}
