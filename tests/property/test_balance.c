/* The part of gradients by which experts come to share the tokens: against finite differences of what it is the
 * gradient of, and at any number of threads. */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "model/backward.h"
#include "support/programs.h"

typedef struct setup {
    const lb_test_program *c;
    lb_net *n;
    lb_weights w;
    lb_backward *b;
    double steps; /* that have experts */
} setup;

static lb_grads gradients(const setup *s, double coefficient, lb_team *team, double *loss) {
    lb_grads g = lb_test_program_grads(s->c, s->n);
    lb_backward_balance(s->b, coefficient);
    assert_ok(lb_loss_gradients(s->b, &s->w, NULL, 0, s->c->token, team, &g, loss, NULL, NULL));
    return g;
}

/* The sum over the steps, of one sequence. */
static double balance(const setup *s) {
    double loss;
    assert_ok(lb_loss_gradients(s->b, &s->w, NULL, 0, s->c->token, NULL, NULL, &loss, NULL, NULL));
    return lb_backward_balanced(s->b) * s->steps;
}

/* Along a random direction, where no token changes its experts on the way: there the shares jump. */
static bool check_site(const setup *s, const lb_grads *with, const lb_grads *without, int32_t i) {
    int64_t n = s->n->site[i].rows * s->n->site[i].cols;
    float *w = (float *)(uintptr_t)s->w.site[i].W.d, *keep = LB_NEW(s->c->arena, float, n);
    float *d = LB_NEW(s->c->arena, float, n);
    double along = 0.0, norm = 0.0, side[2], measured = 0.0;
    memcpy(keep, w, (size_t)n * sizeof *w);
    lb_rng r = lb_rng_make(5, (uint64_t)i);
    for (int64_t k = 0; k < n; k++) {
        d[k] = (float)lb_rng_normal(&r);
        double g = (double)with->site[i].d[k] - (double)without->site[i].d[k];
        along += g * (double)d[k];
        norm += g * g;
    }
    norm = sqrt(norm);
    if (norm < 1e-2) return false; /* behind the routers */
    static const double length[] = {1e-3, 3e-4, 1e-4};
    for (int l = 0; l < 3; l++) {
        for (int k = 0; k < 2; k++) {
            for (int64_t j = 0; j < n; j++) w[j] = keep[j] + (float)(k ? length[l] : -length[l]) * d[j];
            side[k] = balance(s);
        }
        memcpy(w, keep, (size_t)n * sizeof *w);
        measured = (side[1] - side[0]) / (2 * length[l]);
        if (fabs(measured - along) < 0.05 * norm) return true;
    }
    fail_msg("%s: %s: along a random direction %g by differences, %g by the gradient; norm %g", s->c->name,
             s->n->site[i].name, measured, along, norm);
    return false;
}

static int checked;

static void check_program(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    setup s = {.c = c, .n = lb_test_program_net(c)};
    for (int64_t b = 0; b < s.n->blocks; b++)
        for (int32_t i = 0; i < s.n->block[b].steps; i++) s.steps += s.n->block[b].step[i].n_experts > 0;
    if (s.steps == 0.0) return;
    s.w = lb_test_program_weights(c, s.n);
    assert_ok(lb_backward_new(c->arena, s.n, 1, c->T, &s.b));
    double plain, same;
    lb_grads without = gradients(&s, 0.0, NULL, &plain), with = gradients(&s, 1.0, NULL, &same);
    assert_true(plain == same);
    double now = balance(&s);
    assert_true(now > 0.5 * s.steps && now < 30.0 * s.steps);
    int sites = 0;
    for (int32_t i = 0; i < s.n->sites; i++)
        if (s.n->site[i].same_as < 0) sites += check_site(&s, &with, &without, i);
    assert_true(sites >= 2);
    checked++;
    lb_team *team;
    assert_ok(lb_team_new(3, &team));
    lb_grads other = gradients(&s, 1.0, team, &same);
    for (int32_t i = 0; i < s.n->sites; i++)
        if (s.n->site[i].same_as < 0)
            assert_memory_equal(other.site[i].d, with.site[i].d,
                                (size_t)(s.n->site[i].rows * s.n->site[i].cols) * sizeof(float));
    lb_team_free(team);
}

static void experts_share(void **state) {
    (void)state;
    lb_test_programs(check_program);
    assert_true(checked >= 3);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(experts_share)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
