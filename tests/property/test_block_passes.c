/* What a block-scope method calls (eval/block.h), on programs of 26 model types: the calibration's sequences through a
 * block and back. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "eval/block.h"
#include "math/blas.h"
#include "model/backward.h"
#include "model/weights.h"
#include "support/programs.h"

enum { SAMPLES = 3, BLOCK = 1 };

typedef struct world {
    const lb_test_program *c;
    lb_net *n;
    lb_weights w;
    int64_t T, start[SAMPLES + 1];
    int32_t *tokens; /* of sequences that begin there */
    lb_stream *stream;
    lb_team *team;
    int32_t first, sites;
    lb_block_in in;
} world;

static int64_t length_of(const world *x, int64_t s) { return x->start[s + 1] - x->start[s]; }

/* Of sequence s. */
static lb_mat room(const world *x, int64_t s) {
    int64_t T = length_of(x, s);
    lb_mat m = lb_mat_of(LB_NEW(x->c->arena, float, T * x->n->dim), T, x->n->dim);
    assert_non_null(m.d);
    return m;
}

static lb_mat drawn(const world *x, int64_t s, uint64_t seed) {
    lb_mat m = room(x, s);
    lb_rng r = lb_rng_make(seed, 3);
    for (int64_t i = 0; i < m.rows * m.cols; i++) m.d[i] = (float)lb_rng_normal(&r);
    return m;
}

static void connect(world *x) {
    lb_block_site *site = LB_NEW(x->c->arena, lb_block_site, x->sites);
    assert_non_null(site);
    for (int32_t i = 0; i < x->sites; i++) site[i].name = x->n->site[x->first + i].name;
    x->in = (lb_block_in){.block = BLOCK, .site = site, .sites = x->sites};
    assert_ok(lb_block_connect(x->c->arena, x->n, x->stream, &x->w, x->team, &x->in));
}

/* ragged: sequences differ in their length. */
static world open_world(const lb_test_program *c, bool ragged, lb_team *team) {
    world x = {.c = c, .n = lb_test_program_net(c), .team = team};
    x.w = lb_test_program_weights(c, x.n);
    x.T = x.n->context && x.n->context < c->T ? x.n->context : c->T;
    const int64_t shorter[SAMPLES] = {x.T / 2, 0, x.T - 1};
    for (int s = 0; s < SAMPLES; s++) x.start[s + 1] = x.start[s] + x.T - (ragged ? shorter[s] : 0);
    x.tokens = LB_NEW(c->arena, int32_t, SAMPLES * x.T);
    int64_t *start = LB_NEW(c->arena, int64_t, SAMPLES + 1); /* the world moves */
    assert_true(x.tokens && start);
    memcpy(start, x.start, sizeof x.start);
    for (int64_t i = 0; i < SAMPLES * x.T; i++)
        x.tokens[i] = (c->token[i % x.T] * (int32_t)(1 + i / x.T) + (int32_t)(i / x.T)) % 61;
    assert_ok(lb_stream_new(c->arena, x.n, &x.w, &(lb_sequences){x.tokens, SAMPLES, x.T, ragged ? start : NULL}, team,
                            &x.stream));
    assert_ok(lb_stream_advance(x.stream, &x.w));
    x.sites = lb_net_block(x.n, BLOCK, &x.first);
    connect(&x);
    return x;
}

static void same(const world *x, lb_mat a, lb_mat b, const char *what) {
    if (memcmp(a.d, b.d, (size_t)(a.rows * a.cols) * sizeof *a.d) != 0) fail_msg("%s: other %s", x->c->name, what);
}

/* x of a sequence before a section, by the executor alone. */
static lb_mat entering(const world *x, int64_t s, int32_t section) {
    lb_exec *e;
    lb_mat m = room(x, s);
    assert_ok(lb_exec_new(x->c->arena, x->n, x->T, NULL, &e));
    assert_ok(lb_exec_embed(e, &x->w, x->tokens + x->start[s], m.rows, m));
    for (int64_t b = 0; b < BLOCK; b++) assert_ok(lb_exec_block(e, &x->w, b, m, NULL));
    for (int32_t k = 0; k < section; k++) assert_ok(lb_exec_section(e, &x->w, BLOCK, k, m, NULL));
    return m;
}

static lb_mat leaving(const world *x, int64_t s, int32_t section, const lb_weights *w) {
    lb_exec *e;
    lb_mat m = entering(x, s, section);
    assert_ok(lb_exec_new(x->c->arena, x->n, x->T, NULL, &e));
    assert_ok(lb_exec_section(e, w, BLOCK, section, m, NULL));
    return m;
}

/* The block's matrices but every other one, made smaller; and a model that has them. */
static lb_cmat *others(const world *x, lb_weights *w) {
    lb_cmat *W = LB_NEW(x->c->arena, lb_cmat, x->sites);
    assert_non_null(W);
    assert_ok(lb_weights_clone(x->c->arena, x->n, &x->w, w));
    for (int32_t i = 0; i < x->sites; i += 2) {
        lb_cmat from = x->w.site[x->first + i].W;
        float *d = LB_NEW(x->c->arena, float, from.rows *from.cols);
        assert_non_null(d);
        for (int64_t k = 0; k < from.rows * from.cols; k++) d[k] = 0.5f * from.d[k];
        W[i] = w->site[x->first + i].W = lb_cmat_of(d, from.rows, from.cols);
    }
    return W;
}

static void check_section(world *x, int32_t section) {
    static const int64_t order[] = {2, 0, 2, 1, 1};
    lb_weights changed;
    const lb_cmat *W = others(x, &changed);
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        int64_t s = order[k];
        lb_mat y = room(x, s);
        assert_ok(x->in.forward(&x->in, section, s, W, y));
        same(x, y, leaving(x, s, section, &changed), "bytes with given matrices");
        assert_ok(x->in.forward(&x->in, section, s, NULL, y));
        same(x, y, leaving(x, s, section, &x->w), "bytes");
    }
}

static void check_forward_of(const lb_test_program *c, bool ragged) {
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    world x = open_world(c, ragged, team);
    assert_int_equal(x.in.sequences, SAMPLES);
    assert_int_equal(x.in.length, x.T);
    assert_int_equal(x.in.dim, x.n->dim);
    assert_int_equal(x.in.sections, x.n->block[BLOCK].sections);
    for (int32_t k = x.in.sections - 1; k >= -1; k--) check_section(&x, k);
    check_section(&x, x.in.sections - 1); /* what enters it is not that of another one */
    lb_team_free(team);
}

static void check_forward(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    check_forward_of(c, false);
    check_forward_of(c, true);
}

static void forward_is_the_executors(void **state) {
    (void)state;
    lb_test_programs(check_forward);
}

/* Three sections: what enters two of them is kept in turn. */
static void three_sections(void **state) {
    (void)state;
    static const char text[] =
        "{'name': 'three', 'tied': true, 'spread': 1.0, 'tokens': [3, 1, 4, 1, 5, 9], 'numbers': {}, 'lists': {},"
        " 'program': {'before': 'x = embed token embed', 'after': 'y = head x head',"
        "  'block': 'n = norm x n1 kind=rms eps=1e-5; x += linear n a; x += linear x b; h = act x fn=silu;"
        " x += linear h c'},"
        " 'parameters': {'embed': [61, 8, 0, 1, 0], 'PARTS': 0}}";
    static const char block[] = "'#.n1': [1, 8, 1, 0.5, 0], '#.a': [8, 8, 0, 1, 0], '#.b': [8, 8, 0, 1, 0], "
                                "'#.c': [8, 8, 0, 1, 0], ";
    char *at, all[2048] = "";
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        for (int b = 0; strncmp(c, "'PARTS'", 7) == 0 && b < 3; b++)
            for (const char *d = block; *d; d++) all[n++] = *d == '#' ? (char)('0' + b) : *d;
        all[n++] = *c;
    }
    while ((at = strchr(all, '\''))) *at = '"';
    json_error_t error;
    json_t *from = json_loads(all, 0, &error);
    if (!from) fail_msg("%s", error.text);
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    lb_test_program c = lb_test_program_open(a, from);
    assert_int_equal(lb_test_program_net(&c)->block[BLOCK].sections, 3);
    check_forward(&c, NULL);
    lb_arena_free(a);
    json_decref(from);
}

static lb_mat *gradients(const world *x) {
    lb_mat *g = LB_NEW(x->c->arena, lb_mat, x->sites);
    assert_non_null(g);
    for (int32_t i = 0; i < x->sites; i++) {
        const lb_site *s = &x->n->site[x->first + i];
        if (i == 1) continue; /* not wanted */
        g[i] = lb_mat_of(LB_NEW(x->c->arena, float, s->rows * s->cols), s->rows, s->cols);
        assert_non_null(g[i].d);
    }
    return g;
}

static void check_back(world *x, int32_t section) {
    lb_weights changed;
    const lb_cmat *W = others(x, &changed);
    lb_mat *have = gradients(x), *want = gradients(x);
    lb_section_backward *b;
    lb_grads g;
    assert_ok(lb_grads_new(x->c->arena, x->n, &g));
    for (int32_t i = 0; i < x->sites; i++) g.site[x->first + i] = want[i];
    for (int64_t s = SAMPLES - 1; s >= 0; s--) { /* sums over sequences */
        lb_mat dy = drawn(x, s, (uint64_t)s), from = entering(x, s, section), dx = room(x, s), want_dx = room(x, s);
        assert_ok(lb_section_backward_new(x->c->arena, x->n, BLOCK, section, dy.rows, &b));
        assert_ok(x->in.backward(&x->in, section, s, W, lb_mat_c(dy), have, dx));
        assert_ok(lb_section_gradients(b, &changed, lb_mat_c(from), lb_mat_c(dy), NULL, &g, want_dx));
        same(x, dx, want_dx, "dx");
    }
    assert_ok(x->in.backward(&x->in, section, 0, NULL, lb_mat_c(drawn(x, 0, 5)), NULL, (lb_mat){0}));
    for (int32_t i = 0; i < x->sites; i++)
        if (have[i].d) same(x, have[i], want[i], "dW");
}

static void check_backward(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    for (int ragged = 0; ragged < 2; ragged++) {
        world x = open_world(c, ragged, team);
        for (int32_t k = -1; k < x.in.sections; k++) check_back(&x, k);
    }
    lb_team_free(team);
}

static void backward_is_the_sections(void **state) {
    (void)state;
    lb_test_programs(check_backward);
}

/* ---- weights that are not in memory; calls that make no sense ---- */

static lb_status read_rows(const void *ctx, int64_t row, int64_t rows, float *out) {
    const lb_cmat *W = ctx;
    memcpy(out, W->d + row * W->ld, (size_t)(rows * W->cols) * sizeof *out);
    return LB_OK;
}

static void check_streamed(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    world x = open_world(c, false, NULL);
    lb_mat y = room(&x, 1), again = room(&x, 1);
    assert_ok(x.in.forward(&x.in, -1, 1, NULL, y));
    lb_cmat *kept = LB_NEW(c->arena, lb_cmat, x.sites);
    assert_non_null(kept);
    for (int32_t i = 0; i < x.sites; i++) {
        lb_linop *op = &x.w.site[x.first + i];
        kept[i] = op->W;
        op->from = (lb_rows_source){read_rows, &kept[i]};
        op->W.d = NULL;
    }
    connect(&x);
    lb_block_site other = {.name = "0.nothing"};
    lb_block_in wrong = {.block = BLOCK, .site = &other, .sites = 1};
    assert_int_equal(lb_block_connect(c->arena, x.n, x.stream, &x.w, NULL, &wrong), LB_E_ARG);
    assert_ok(x.in.forward(&x.in, -1, 1, NULL, again));
    same(&x, y, again, "bytes of streamed weights");
    assert_int_equal(x.in.forward(&x.in, x.in.sections, 0, NULL, y), LB_E_ARG);
    assert_int_equal(x.in.forward(&x.in, 0, SAMPLES, NULL, y), LB_E_ARG);
    assert_int_equal(x.in.forward(&x.in, 0, 0, NULL, lb_mat_part(y, 0, 0, y.rows - 1, y.cols)), LB_E_ARG);
}

static void streamed_weights_give_the_same_bytes(void **state) {
    (void)state;
    lb_test_programs(check_streamed);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_is_the_executors), cmocka_unit_test(three_sections),
                                       cmocka_unit_test(backward_is_the_sections),
                                       cmocka_unit_test(streamed_weights_give_the_same_bytes)};
    return cmocka_run_group_tests_name("passes through a block", tests, NULL, NULL);
}
