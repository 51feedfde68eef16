/* Sessions, on programs of 26 model types and on every family's models: tokens fed in pieces give what one pass over
 * all of them gives; all at once, its bytes; cut and fed again, the same bytes as before, at any number of threads. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "model/exec_impl.h"
#include "model/session.h"
#include "model/steps/reference.h"
#include "model/weights.h"
#include "support/families.h"
#include "support/parity.h"
#include "support/programs.h"

typedef struct subject {
    lb_arena *arena;
    const char *name;
    const lb_net *net;
    const lb_weights *w;
    const int32_t *token;
    int64_t T;
} subject;

static lb_team *team;

static lb_mat room(const subject *x) {
    int64_t cols = x->net->site[x->net->head].cols;
    lb_mat m = lb_mat_of(LB_NEW(x->arena, float, x->T *cols), x->T, cols);
    assert_non_null(m.d);
    return m;
}

static lb_mat whole_pass(const subject *x) {
    lb_mat h = room(x), s = lb_mat_of(LB_NEW(x->arena, float, x->T * x->net->dim), x->T, x->net->dim);
    lb_exec *e;
    assert_non_null(s.d);
    assert_ok(lb_exec_new(x->arena, x->net, x->T, NULL, &e));
    assert_ok(lb_exec_embed(e, x->w, x->token, x->T, s));
    for (int64_t b = 0; b < x->net->blocks; b++) assert_ok(lb_exec_block(e, x->w, b, s, NULL));
    assert_ok(lb_exec_final(e, x->w, s, h));
    return h;
}

/* Tokens [first, first + n) into those rows of h. */
static lb_status feed(const subject *x, lb_session *s, int64_t first, int64_t n, lb_mat h) {
    assert_int_equal(lb_session_length(s), first);
    return lb_session_feed(s, x->w, x->token + first, n, lb_mat_part(h, first, 0, n, h.cols));
}

static void near(const subject *x, lb_mat got, lb_mat want, int64_t rows) {
    double worst = 0.0, largest = 0.0;
    for (int64_t i = 0; i < rows * want.cols; i++) {
        double d = fabs((double)got.d[i] - (double)want.d[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
        largest = fmax(largest, fabs((double)want.d[i]));
    }
    if (!(worst <= 1e-5 * largest)) fail_msg("%s: %g apart, of %g", x->name, worst, largest);
}

static void same(const subject *x, lb_mat a, lb_mat b, const char *what) {
    if (memcmp(a.d, b.d, (size_t)(a.rows * a.cols) * sizeof *a.d) != 0) fail_msg("%s: other bytes %s", x->name, what);
}

static int64_t taken, refused;

static void check(const subject *x) {
    lb_mat want = whole_pass(x), once = room(x), pieces = room(x), again = room(x);
    lb_session *s, *on_team;
    assert_ok(lb_session_new(x->arena, x->net, x->T, NULL, &s));
    assert_ok(feed(x, s, 0, x->T, once));
    same(x, once, want, "at once");
    lb_session_cut(s, 0);
    assert_ok(feed(x, s, 0, 1, pieces));
    if (lb_session_reach(x->net, 1) < x->T) {
        lb_status st = feed(x, s, 1, x->T - 1, pieces);
        if (st != LB_E_UNSUPPORTED) fail_msg("%s: angles change and it goes on", x->name);
        assert_error_has("would have to turn again");
        assert_int_equal(lb_session_length(s), 1);
        refused++;
        return;
    }
    assert_ok(feed(x, s, 1, 3, pieces));
    assert_ok(feed(x, s, 4, 5, pieces)); /* products of layers */
    for (int64_t t = 9; t + 4 <= x->T; t++) assert_ok(feed(x, s, t, 1, pieces));
    assert_ok(feed(x, s, x->T - 3, 3, pieces));
    near(x, pieces, want, x->T);
    lb_session_cut(s, 4); /* the last row alone is asked for */
    assert_ok(feed(x, s, 4, 5, again));
    assert_ok(lb_session_feed(s, x->w, x->token + 9, 2, lb_mat_part(again, 10, 0, 1, again.cols)));
    assert_int_equal(lb_session_length(s), 11);
    assert_memory_equal(again.d + 4 * again.cols, pieces.d + 4 * again.cols, (size_t)(5 * again.cols) * sizeof(float));
    near(x, lb_mat_part(again, 10, 0, 1, again.cols), lb_mat_part(want, 10, 0, 1, want.cols), 1);
    assert_ok(lb_session_new(x->arena, x->net, x->T, team, &on_team));
    assert_ok(feed(x, on_team, 0, 1, again));
    assert_ok(feed(x, on_team, 1, 3, again));
    assert_ok(feed(x, on_team, 4, 5, again));
    for (int64_t t = 9; t + 4 <= x->T; t++) assert_ok(feed(x, on_team, t, 1, again));
    assert_ok(feed(x, on_team, x->T - 3, 3, again));
    same(x, again, pieces, "on a team");
    taken++;
}

static void check_program(const lb_test_program *c, const lb_tensor *unused) {
    (void)unused;
    lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    check(&(subject){c->arena, c->name, n, &w, c->token, c->T});
}

static void programs(void **state) {
    (void)state;
    taken = refused = 0;
    lb_test_programs(check_program);
    assert_true(taken >= 20 && refused >= 1);
}

static void check_model(const char *name, const char *path, lb_model_parts parts) {
    subject x = {.name = name, .T = FAMILIES_TOKENS};
    int32_t token[FAMILIES_TOKENS];
    lb_model *m;
    assert_ok(lb_arena_new(0, &x.arena));
    assert_ok(lb_model_open(path, parts, NULL, &m));
    parity_tokens(token, FAMILIES_TOKENS, FAMILIES_VOCAB);
    x.token = token;
    x.net = m->net;
    lb_weights held;
    assert_ok(lb_weights_hold(x.arena, m->net, &m->weights, team, &held));
    x.w = &held;
    check(&x);
    lb_model_close(m);
    lb_arena_free(x.arena);
}

static void families(void **state) {
    (void)state;
    taken = refused = 0;
    for (int k = 0; lb_family_table[k]; k++) {
        families_record r = families_open(lb_family_table[k]);
        const json_t *e;
        size_t i;
        json_array_foreach(json_object_get(r.lists, "models"), i, e) {
            char path[LB_TEST_PATH], name[LB_TEST_PATH];
            families_path(&r, families_text(e, "model"), "", path);
            snprintf(name, sizeof name, "%s %s", r.family, families_text(e, "model"));
            check_model(name, path, i == 0 ? LB_STREAM : LB_WEIGHTS);
        }
        families_close(&r);
    }
    assert_true(taken >= 50 && refused >= 1);
}

/* Weights that are read when their turn comes: the bytes of those that are in memory. */
static void streamed(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_arena *a;
    lb_model *m;
    lb_weights held;
    lb_session *s;
    int32_t token[FAMILIES_TOKENS];
    families_fixture("mixtral/a.gguf", path);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(path, LB_STREAM, NULL, &m));
    assert_false(lb_weights_resident(m->net, &m->weights));
    assert_ok(lb_weights_hold(a, m->net, &m->weights, NULL, &held));
    parity_tokens(token, FAMILIES_TOKENS, FAMILIES_VOCAB);
    int64_t cols = m->net->site[m->net->head].cols;
    float got[2][4 * 64];
    assert_true(cols <= 64);
    assert_ok(lb_session_new(a, m->net, 8, NULL, &s));
    for (int k = 0; k < 2; k++) {
        const lb_weights *w = k ? &held : &m->weights;
        lb_session_cut(s, 0);
        assert_ok(lb_session_feed(s, w, token, 4, lb_mat_of(got[k], 4, cols)));
        assert_ok(lb_session_feed(s, w, token + 4, 1, lb_mat_of(got[k], 1, cols)));
    }
    assert_memory_equal(got[0], got[1], (size_t)(4 * cols) * sizeof(float));
    lb_model_close(m);
    lb_arena_free(a);
}

static void what_does_not_fit(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_arena *a;
    lb_model *m;
    lb_session *s;
    int32_t token[] = {1, 2, FAMILIES_VOCAB};
    families_fixture("gpt2/a", path);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &m));
    float h[64];
    lb_mat row = lb_mat_of(h, 1, m->net->site[m->net->head].cols);
    assert_true(row.cols <= 64 && m->net->context > 0);
    assert_status(LB_E_CONFIG, lb_session_new(a, m->net, m->net->context + 1, NULL, &s));
    assert_error_has("more than the model's context of");
    assert_ok(lb_session_new(a, m->net, 3, NULL, &s));
    assert_ok(lb_session_feed(s, &m->weights, token, 2, row));
    assert_status(LB_E_ARG, lb_session_feed(s, &m->weights, token, 2, row));
    assert_error_has("2 tokens after 2: there is room for 3");
    assert_status(LB_E_ARG, lb_session_feed(s, &m->weights, token + 2, 1, row));
    assert_error_has("must be in [0, 61)");
    assert_int_equal(lb_session_length(s), 2);
    assert_ok(lb_session_feed(s, &m->weights, token, 1, row));
    lb_model_close(m);
    lb_arena_free(a);
}

static int setup(void **state) {
    (void)state;
    return lb_blas_init(2) == LB_OK && lb_team_new(2, &team) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_team_free(team);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs), cmocka_unit_test(families),
                                       cmocka_unit_test(streamed), cmocka_unit_test(what_does_not_fit)};
    return cmocka_run_group_tests_name("sessions", tests, setup, teardown);
}
