/* Sections of blocks, on programs of 26 model types: one after another they are the block, byte for byte, with its
 * inputs; and their gradients are those of the whole model's loss. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/exec_impl.h"
#include "model/train/train.h"
#include "support/programs.h"

typedef struct world {
    const lb_test_program *c;
    lb_net *n;
    lb_weights w;
    lb_exec *e;
} world;

static world open_world(const lb_test_program *c, int64_t panel, lb_team *team) {
    world x = {.c = c, .n = lb_test_program_net(c)};
    x.w = lb_test_program_weights(c, x.n);
    assert_ok(lb_exec_new_panel(c->arena, x.n, c->T, panel, team, &x.e));
    return x;
}

static lb_mat room(const world *x, int64_t cols) {
    lb_mat m = lb_mat_of(LB_NEW(x->c->arena, float, x->c->T *cols), x->c->T, cols);
    assert_non_null(m.d);
    return m;
}

static lb_mat copy_of(const world *x, lb_mat m) {
    lb_mat to = room(x, m.cols);
    memcpy(to.d, m.d, (size_t)(m.rows * m.cols) * sizeof *m.d);
    return to;
}

static lb_mat embedded(const world *x) {
    lb_mat m = room(x, x->n->dim);
    assert_ok(lb_exec_embed(x->e, &x->w, x->c->token, x->c->T, m));
    return m;
}

static void same(const world *x, lb_mat a, lb_mat b, const char *what) {
    if (memcmp(a.d, b.d, (size_t)(a.rows * a.cols) * sizeof *a.d) != 0) fail_msg("%s: other %s", x->c->name, what);
}

/* ---- where blocks are cut ---- */

typedef struct cut {
    const char *program;
    int32_t sections;
    int32_t first; /* steps of the first one */
} cut;
static const cut cuts[] = {{"llama grouped heads", 2, 8},
                           {"gemma2", 2, 10},
                           {"gpt_neox parallel", 1, 11},
                           {"gpt_neox serial", 2, 7},
                           {"opt 350m", 2, 7}, /* n = add x to the norm after attention */
                           {"phi", 1, 11},
                           {"cohere", 1, 12},
                           {"mixtral", 2, 8},
                           {"olmo2", 2, 11},
                           {"llama biases, tied", 2, 8}};

static int32_t section_of(const lb_net *n, const char *site) {
    return lb_net_section_of(n, n->site[lb_net_find(n, site)].input);
}

static void check_cuts(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    const lb_net *n = lb_test_program_net(c);
    const lb_net_part *p = &n->block[1];
    int32_t at = 0;
    for (int32_t k = 0; k < p->sections; k++) {
        assert_int_equal(p->section[k].first, at);
        at += p->section[k].steps;
    }
    assert_int_equal(at, p->steps);
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        if (strcmp(c->name, cuts[k].program) != 0) continue;
        if (p->sections != cuts[k].sections || p->section[0].steps != cuts[k].first)
            fail_msg("%s: %d sections, the first of %d steps", c->name, p->sections, p->section[0].steps);
    }
    if (strcmp(c->name, "mixtral") != 0) return;
    assert_int_equal(section_of(n, "1.q"), 0);
    assert_int_equal(section_of(n, "1.o"), 0);
    assert_int_equal(section_of(n, "1.router"), 1);
    assert_int_equal(section_of(n, "1.expert.4.down"), 1);
}

static void blocks_are_cut_where_x_is_alone(void **state) {
    (void)state;
    lb_test_programs(check_cuts);
}

/* ---- forward ---- */

/* All inputs of the block, tapped. */
static lb_capture taps_of(const world *x, int64_t block) {
    int32_t first, inputs = lb_net_inputs(x->n, block, &first);
    lb_capture cap = {.tap = LB_NEW(x->c->arena, lb_tap, inputs + 1), .taps = inputs};
    assert_non_null(cap.tap);
    for (int32_t i = 0; i < inputs; i++)
        cap.tap[i] = (lb_tap){.input = first + i, .to = room(x, x->n->input[first + i].cols)};
    return cap;
}

/* Those of a section alone. */
static lb_capture taps_in(const world *x, const lb_capture *all, int32_t section) {
    lb_capture cap = {.tap = LB_NEW(x->c->arena, lb_tap, all->taps + 1)};
    assert_non_null(cap.tap);
    for (int32_t i = 0; i < all->taps; i++)
        if (lb_net_section_of(x->n, all->tap[i].input) == section) cap.tap[cap.taps++] = all->tap[i];
    return cap;
}

static void check_taps(const world *x, const lb_capture *part, const lb_capture *whole) {
    for (int32_t i = 0; i < part->taps; i++) {
        const lb_tap *a = &part->tap[i], *b = whole->tap;
        while (b->input != a->input) b++;
        assert_int_equal(a->rows, b->rows);
        same(x, a->to, b->to, "inputs");
    }
}

static void check_block(const world *x, int64_t block, lb_mat at) {
    lb_capture all = taps_of(x, block), apart = taps_of(x, block);
    lb_mat whole = copy_of(x, at);
    assert_ok(lb_exec_block(x->e, &x->w, block, whole, &all));
    for (int32_t k = 0; k < x->n->block[block].sections; k++) {
        lb_mat before = copy_of(x, at);
        lb_capture cap = taps_in(x, &apart, k);
        assert_true(cap.taps > 0);
        cap.stop = true; /* inputs alone: x stays */
        assert_ok(lb_exec_section(x->e, &x->w, block, k, at, &cap));
        same(x, at, before, "x after inputs alone");
        check_taps(x, &cap, &all);
        cap.stop = false;
        assert_ok(lb_exec_section(x->e, &x->w, block, k, at, &cap));
        check_taps(x, &cap, &all);
    }
    same(x, at, whole, "bytes by sections");
}

static void check_forward(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    for (int64_t panel = 0; panel <= 7; panel += 7) {
        world x = open_world(c, panel, panel ? team : NULL);
        lb_mat at = embedded(&x);
        for (int64_t b = 0; b < x.n->blocks; b++) check_block(&x, b, at);
    }
    lb_team_free(team);
}

static void sections_are_the_block(void **state) {
    (void)state;
    lb_test_programs(check_forward);
}

/* ---- gradients ---- */

/* Those of the whole model's loss, in `all`; and what enters block 0, with the gradients of what enters and leaves it,
 * which the pass back, having ended there, still has. */
typedef struct ends {
    lb_grads all;
    lb_cmat x, dx, dy;
} ends;

static ends whole_model(const world *x) {
    ends e = {.all = lb_test_program_grads(x->c, x->n)};
    lb_backward *b;
    double loss;
    assert_ok(lb_backward_new(x->c->arena, x->n, 1, x->c->T, &b));
    assert_ok(lb_loss_gradients(b, &x->w, NULL, 0, x->c->token, NULL, &e.all, &loss, NULL, NULL));
    e.x = lb_cmat_of(b->x[1], x->c->T, x->n->dim);
    e.dx = lb_cmat_of(b->dx_next, x->c->T, x->n->dim);
    e.dy = lb_cmat_of(b->dx, x->c->T, x->n->dim);
    return e;
}

/* Room for those of block 0, each number 1 at first. */
static lb_grads ones(const world *x) {
    lb_grads g = lb_test_program_grads(x->c, x->n);
    for (int32_t i = 0; i < x->n->sites; i++) {
        if (x->n->site[i].block != 0) g.site[i] = (lb_mat){0};
        for (int64_t k = 0; k < g.site[i].rows * g.site[i].cols; k++) g.site[i].d[k] = 1.0f;
    }
    for (int32_t i = 0; i < x->n->vectors; i++) {
        if (x->n->vector[i].block != 0) g.vector[i] = NULL;
        for (int64_t k = 0; g.vector[i] && k < x->n->vector[i].n; k++) g.vector[i][k] = 1.0f;
    }
    return g;
}

/* a - 1 is b, but for what adding 1 lost. */
static void check_close(const world *x, const char *name, const float *a, double one, const float *b, int64_t n) {
    double off = 0.0, norm = 0.0;
    for (int64_t i = 0; i < n; i++) {
        off += ((double)a[i] - one - (double)b[i]) * ((double)a[i] - one - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    double most = 1e-5 * sqrt(norm) + one * 1e-7 * sqrt((double)n) + 1e-9;
    if (!(sqrt(off) <= most)) fail_msg("%s: gradient of %s: off by %g of %g", x->c->name, name, sqrt(off), sqrt(norm));
}

static void check_all(const world *x, const lb_grads *g, const ends *want, lb_mat dx) {
    const lb_net *n = x->n;
    for (int32_t i = 0; i < n->sites; i++)
        if (g->site[i].d)
            check_close(x, n->site[i].name, g->site[i].d, 1.0, want->all.site[i].d, n->site[i].rows * n->site[i].cols);
    for (int32_t i = 0; i < n->vectors; i++)
        if (g->vector[i]) check_close(x, n->vector[i].name, g->vector[i], 1.0, want->all.vector[i], n->vector[i].n);
    check_close(x, "x", dx.d, 0.0, want->dx.d, dx.rows * dx.cols);
}

static void check_gradients(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c, 0, NULL);
    const lb_net_part *p = &x.n->block[0];
    ends want = whole_model(&x);
    lb_grads g = ones(&x);
    lb_mat dx = room(&x, x.n->dim);
    lb_section_backward *b;
    assert_ok(lb_section_backward_new(c->arena, x.n, 0, LB_WHOLE_BLOCK, c->T, &b));
    assert_ok(lb_section_gradients(b, &x.w, want.x, want.dy, NULL, &g, dx));
    check_all(&x, &g, &want, dx);
    /* by sections, last first: each one's dx is the dy of the one before */
    lb_mat at[16], dy = room(&x, x.n->dim);
    assert_true(p->sections <= 15);
    at[0] = room(&x, x.n->dim);
    memcpy(at[0].d, want.x.d, (size_t)(dx.rows * dx.cols) * sizeof *dx.d);
    memcpy(dy.d, want.dy.d, (size_t)(dx.rows * dx.cols) * sizeof *dx.d);
    for (int32_t k = 0; k < p->sections; k++) {
        at[k + 1] = copy_of(&x, at[k]);
        assert_ok(lb_exec_section(x.e, &x.w, 0, k, at[k + 1], NULL));
    }
    g = ones(&x);
    for (int32_t k = p->sections - 1; k >= 0; k--) {
        assert_ok(lb_section_backward_new(c->arena, x.n, 0, k, c->T, &b));
        assert_ok(lb_section_gradients(b, &x.w, lb_mat_c(at[k]), lb_mat_c(dy), NULL, &g, dx));
        memcpy(dy.d, dx.d, (size_t)(dx.rows * dx.cols) * sizeof *dx.d);
    }
    check_all(&x, &g, &want, dx);
}

static void gradients_are_the_models(void **state) {
    (void)state;
    lb_test_programs(check_gradients);
}

/* The same bytes on any number of threads; dx alone, too. */
static void check_threads(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c, 0, NULL);
    ends want = whole_model(&x);
    lb_grads one = ones(&x), other = ones(&x);
    lb_mat dx[3] = {room(&x, x.n->dim), room(&x, x.n->dim), room(&x, x.n->dim)};
    lb_section_backward *b;
    lb_team *team;
    assert_ok(lb_team_new(3, &team));
    assert_ok(lb_section_backward_new(c->arena, x.n, 0, LB_WHOLE_BLOCK, c->T, &b));
    assert_ok(lb_section_gradients(b, &x.w, want.x, want.dy, NULL, &one, dx[0]));
    assert_ok(lb_section_gradients(b, &x.w, want.x, want.dy, team, &other, dx[1]));
    assert_ok(lb_section_gradients(b, &x.w, want.x, want.dy, team, NULL, dx[2]));
    same(&x, dx[0], dx[1], "dx on three threads");
    same(&x, dx[0], dx[2], "dx without other gradients");
    for (int32_t i = 0; i < x.n->sites; i++)
        if (one.site[i].d) same(&x, one.site[i], other.site[i], "gradients on three threads");
    lb_team_free(team);
}

static void threads_give_the_same_bytes(void **state) {
    (void)state;
    lb_test_programs(check_threads);
}

static void check_refusals(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    if (strcmp(c->name, "gpt_neox serial") != 0) return;
    world x = open_world(c, 0, NULL);
    lb_mat m = embedded(&x);
    lb_section_backward *b;
    lb_linop *op = &x.w.site[lb_net_find(x.n, "0.up")];
    const lb_linop before = *op;
    assert_ok(lb_section_backward_new(c->arena, x.n, 0, 0, c->T, &b));
    op->W.d = NULL;
    assert_int_equal(lb_section_gradients(b, &x.w, lb_mat_c(m), lb_mat_c(m), NULL, NULL, (lb_mat){0}), LB_E_ARG);
    *op = before;
    x.w.site[lb_net_find(x.n, "1.up")].W.d = NULL; /* of another block */
    assert_ok(lb_section_gradients(b, &x.w, lb_mat_c(m), lb_mat_c(m), NULL, NULL, (lb_mat){0}));
}

static void what_gradients_do_not_go_through_is_refused(void **state) {
    (void)state;
    lb_test_programs(check_refusals);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_cut_where_x_is_alone), cmocka_unit_test(sections_are_the_block),
        cmocka_unit_test(gradients_are_the_models), cmocka_unit_test(threads_give_the_same_bytes),
        cmocka_unit_test(what_gradients_do_not_go_through_is_refused)};
    return cmocka_run_group_tests_name("sections", tests, NULL, NULL);
}
