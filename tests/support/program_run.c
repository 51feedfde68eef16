#include "support/program_run.h"

#include <string.h>

#include "base/rng.h"
#include "support/support.h"

program_run program_open(const lb_test_program *c) {
    program_run x = {.c = c, .n = lb_test_program_net(c), .token = c->token, .T = c->T, .panel = 7};
    x.w = lb_test_program_weights(c, x.n);
    return x;
}

lb_mat program_room(const program_run *x, int64_t rows, int64_t cols) {
    lb_mat m = lb_mat_of(LB_NEW(x->c->arena, float, rows *cols), rows, cols);
    assert_non_null(m.d);
    return m;
}

static int64_t positions(const lb_net *n, int64_t most) {
    for (int32_t i = 0; i < n->before.steps; i++) {
        const lb_net_step *s = &n->before.step[i];
        if (s->site >= 0 && !s->token) return n->site[s->site].rows - (int64_t)s->arg[1];
    }
    return most;
}

void program_lengthen(program_run *x, int64_t most) {
    lb_rng r = lb_rng_make(5, 1);
    int64_t known = positions(x->n, most);
    x->T = known < most ? known : most;
    int32_t *token = LB_NEW(x->c->arena, int32_t, x->T);
    assert_non_null(token);
    for (int64_t t = 0; t < x->T; t++) token[t] = (int32_t)lb_rng_below(&r, x->n->vocab);
    x->token = token;
}

lb_mat program_states_by(const program_run *x, const lb_weights *w, lb_exec *e) {
    int64_t cols = x->n->site[x->n->head].cols, dim = x->n->dim;
    lb_mat s = program_room(x, x->T, dim), h = cols == dim ? s : program_room(x, x->T, cols);
    assert_ok(lb_exec_embed(e, w, x->token, x->T, s));
    for (int64_t b = 0; b < x->n->blocks; b++) assert_ok(lb_exec_block(e, w, b, s, NULL));
    assert_ok(lb_exec_final(e, w, s, h));
    return h;
}

lb_mat program_states(const program_run *x, const lb_weights *w) {
    lb_arena *a;
    lb_exec *e;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_exec_new_panel(a, x->n, x->T + 3, x->panel, x->team, &e)); /* room to spare must not matter */
    lb_mat h = program_states_by(x, w, e);
    lb_arena_free(a);
    return h;
}

void program_same_bytes(program_run *x, const lb_weights *w) {
    lb_mat alone = program_states(x, w);
    for (int threads = 1; threads <= 3; threads++) {
        assert_ok(lb_team_new(threads, &x->team));
        lb_mat h = program_states(x, w);
        if (memcmp(h.d, alone.d, (size_t)(h.rows * h.cols) * sizeof *h.d) != 0)
            fail_msg("%s: other bytes on %d threads", x->c->name, threads);
        lb_team_free(x->team);
        x->team = NULL;
    }
}
