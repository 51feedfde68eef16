/* Models changed by scales and rotations of their inputs, folded where that can be and kept where not, twice over: in
 * every family they give what they gave; and what is not the same is noticed. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "eval/changes.h"
#include "eval/outputs.h"
#include "math/blas.h"
#include "model/model.h"
#include "model/weights.h"
#include "support/llama.h"

enum { T = 24 };
static const char *const families[] = {"gemma/a",   "gemma2/a",    "gpt2/a", "gpt_neox/a", "mistral/a",
                                       "mixtral/a", "opt/a",       "opt/b",  "phi/a",      "phi3/a",
                                       "qwen2/a",   "qwen2_moe/a", "qwen3/a"};
enum { FAMILIES = sizeof families / sizeof families[0] };

typedef struct world {
    lb_arena *arena;
    lb_team *team;
    lb_model *model;
    const lb_net *n;
    bool *all;
    int64_t folded, kept;
} world;

static world open_world(const char *family) {
    char name[LB_TEST_PATH], path[LB_TEST_PATH];
    world x = {0};
    snprintf(name, sizeof name, "tests/oracle/fixtures/families/%s", family);
    lb_test_fixture(name, path);
    assert_ok(lb_arena_new(0, &x.arena));
    assert_ok(lb_team_new(2, &x.team));
    assert_ok(lb_model_open(path, LB_WEIGHTS, x.team, &x.model));
    x.n = x.model->net;
    assert_non_null(x.all = LB_NEW(x.arena, bool, x.n->sites));
    for (int32_t i = 0; i < x.n->sites; i++) x.all[i] = true;
    return x;
}

static void close_world(world *x) {
    lb_model_close(x->model);
    lb_team_free(x->team);
    lb_arena_free(x->arena);
}

static float *random_scale(const world *x, lb_rng *r, const int32_t *tied, int64_t cols) {
    float *s = LB_NEW(x->arena, float, cols);
    assert_non_null(s);
    for (int64_t c = 0; c < cols; c++) {
        s[c] = (float)exp2(2 * lb_rng_uniform(r) - 1);
        for (int64_t k = 0; tied && k < c; k++)
            if (tied[k] == tied[c]) s[c] = s[k];
    }
    return s;
}

static lb_transform random_rotation(const world *x, lb_rng *r, int64_t cols) {
    uint8_t *sign = LB_NEW(x->arena, uint8_t, lb_transform_sign_bytes(cols));
    assert_non_null(sign);
    for (int64_t c = 0; c < cols; c++) sign[c / 8] |= (uint8_t)((lb_rng_u32(r) & 1) << c % 8);
    int64_t run = cols & -cols;
    return (lb_transform){.hadamard = run > 1 ? run : 0, .sign = sign};
}

/* Every input of every block: its scale folded, or kept; or rotated. */
static lb_changes *change(world *x, const lb_weights *was, const lb_changes *before, uint64_t seed, bool rotate) {
    lb_changes *c;
    lb_rng r = lb_rng_make(seed, 0);
    assert_ok(lb_changes_new(x->arena, x->n, was, before, &c));
    for (int32_t i = 0; i < x->n->inputs; i++) {
        int64_t cols = x->n->input[i].cols;
        lb_fold f;
        if (x->n->input[i].block < 0) continue;
        if (rotate) {
            lb_transform q = random_rotation(x, &r, cols);
            assert_ok(lb_changes_keep(c, i, &q, x->all));
            continue;
        }
        assert_ok(lb_fold_of(x->arena, x->n, i, &f));
        float *scale = random_scale(x, &r, f.tied ? f.channel : NULL, cols);
        if (f.by == LB_SCALED_NOT) {
            x->kept++;
            assert_ok(lb_changes_keep(c, i, &(lb_transform){.scale = scale}, x->all));
        } else if (f.input[0] == i) { /* those that go together have one turn */
            x->folded++;
            assert_ok(lb_changes_fold(c, &f, scale));
        }
    }
    return c;
}

/* What the head reads of some tokens. */
static lb_mat states(const world *x, const lb_weights *w) {
    lb_exec *e;
    lb_weights loaded;
    int32_t token[T];
    int64_t wide = x->n->site[x->n->head].cols;
    lb_mat h = lb_mat_of(LB_NEW(x->arena, float, T * x->n->dim), T, x->n->dim);
    lb_mat out = lb_mat_of(LB_NEW(x->arena, float, T *wide), T, wide);
    lb_rng r = lb_rng_make(4, 0);
    assert_true(h.d && out.d);
    for (int t = 0; t < T; t++) token[t] = (int32_t)lb_rng_below(&r, x->n->vocab);
    assert_ok(lb_exec_new(x->arena, x->n, T, x->team, &e));
    assert_ok(lb_weights_clone(x->arena, x->n, w, &loaded));
    assert_ok(lb_exec_embed(e, w, token, T, h));
    for (int64_t b = 0; b < x->n->blocks; b++) {
        float *room = LB_NEW(x->arena, float, lb_block_floats(x->n, w, b) + 1);
        assert_non_null(room);
        assert_ok(lb_block_load(x->n, w, b, room, x->team, &loaded));
        assert_ok(lb_exec_block(e, &loaded, b, h, NULL));
    }
    assert_ok(lb_exec_final(e, w, h, out));
    return out;
}

static void same_states(const world *x, const char *family, const lb_weights *w) {
    lb_mat a = states(x, &x->model->weights), b = states(x, w);
    double worst = 0, most = 0;
    for (int64_t i = 0; i < a.rows * a.cols; i++) {
        worst = fmax(worst, fabs((double)a.d[i] - (double)b.d[i]));
        most = fmax(most, fabs((double)a.d[i]));
    }
    if (!(worst <= 2e-5 * most)) fail_msg("%s: what the head reads is %g off", family, worst / most);
}

static double most_apart(const world *x, const lb_weights *was, const lb_weights *now) {
    lb_outputs *o;
    double most = 0;
    assert_ok(lb_outputs_new(x->arena, x->n, was, 7, x->team, &o));
    for (int64_t b = 0; b < x->n->blocks; b++) {
        double apart;
        assert_ok(lb_outputs_block(o, was, now, &apart));
        most = fmax(most, apart);
    }
    return most;
}

static void same_outputs(void **state) {
    (void)state;
    int64_t folded = 0, kept = 0;
    for (int k = 0; k < FAMILIES; k++) {
        world x = open_world(families[k]);
        const lb_weights *w = &x.model->weights;
        lb_changes *scaled = change(&x, w, NULL, 1, false);
        lb_changes *more = change(&x, &scaled->w, scaled, 2, false), *turned = change(&x, &more->w, more, 3, true);
        same_states(&x, families[k], &scaled->w);
        same_states(&x, families[k], &turned->w);
        double apart = fmax(most_apart(&x, w, &scaled->w), most_apart(&x, w, &turned->w));
        if (!(apart > 0 && apart < 2e-5)) fail_msg("%s: %g apart", families[k], apart);
        folded += x.folded;
        kept += x.kept;
        close_world(&x);
    }
    assert_true(folded > 2 * FAMILIES && kept > FAMILIES);
}

/* One number of a vector, or of a T beside the matrix that undoes it, two hundredths off. */
static void differences_are_seen(void **state) {
    (void)state;
    for (int k = 0; k < FAMILIES; k++) {
        world x = open_world(families[k]);
        const lb_weights *w = &x.model->weights;
        lb_changes *c = change(&x, w, NULL, 1, false);
        int seen = 0;
        for (int32_t v = 0; v < x.n->vectors; v++) {
            if (c->w.vector[v] == w->vector[v] || x.n->vector[v].bias) continue;
            float *at = (float *)(uintptr_t)&c->w.vector[v][1], kept = *at;
            *at = 1.02f * kept + 0.02f;
            if (most_apart(&x, w, &c->w) > 1e-4) seen++;
            *at = kept;
        }
        for (int32_t i = 0; i < x.n->inputs; i++) {
            if (!c->kept[i].scale || x.n->input[i].expert >= 0) continue;
            lb_transform other = c->kept[i];
            float *scale = LB_NEW(x.arena, float, x.n->input[i].cols);
            assert_non_null(scale);
            memcpy(scale, other.scale, (size_t)x.n->input[i].cols * sizeof *scale);
            scale[1] *= 1.02f;
            int32_t site = x.n->reader[x.n->input[i].first];
            c->w.site[site].T.scale = scale;
            if (most_apart(&x, w, &c->w) > 1e-4) seen++;
            c->w.site[site].T.scale = other.scale;
        }
        if (seen < 2) fail_msg("%s: %d differences were seen", families[k], seen);
        close_world(&x);
    }
}

/* Some rows of a matrix are those of the whole. */
static void rows_by_themselves(void **state) {
    (void)state;
    world x = open_world("mistral/a");
    lb_changes *scaled = change(&x, &x.model->weights, NULL, 1, false);
    lb_changes *turned = change(&x, &scaled->w, scaled, 3, true);
    int64_t scaled_rows = 0;
    for (int32_t i = 0; i < x.n->sites; i++) {
        const lb_linop *op = &turned->w.site[i];
        lb_cmat W;
        if (x.n->site[i].block < 0) continue;
        assert_true(!op->W.d && op->from.read);
        assert_ok(lb_matrix_get(op, x.arena, x.team, &W));
        float *some = LB_NEW(x.arena, float, 3 * W.cols);
        assert_non_null(some);
        assert_ok(op->from.read(op->from.ctx, 2, 3, some));
        assert_memory_equal(some, W.d + 2 * W.ld, (size_t)(3 * W.cols) * sizeof *some);
        scaled_rows += scaled->site[i].rows != NULL;
    }
    assert_true(scaled_rows > 0);
    close_world(&x);
}

/* H of the original model follows: T H T' of both changes, in their order. */
static void hessians_follow(void **state) {
    (void)state;
    world x = open_world("opt/a");
    lb_changes *scaled = change(&x, &x.model->weights, NULL, 5, false);
    lb_changes *turned = change(&x, &scaled->w, scaled, 6, true);
    for (int32_t i = 0; i < x.n->inputs; i++) {
        int64_t n = x.n->input[i].cols;
        if (x.n->input[i].block < 0) continue;
        float *row = LB_NEW(x.arena, float, n);
        double *H = LB_NEW(x.arena, double, n *n);
        assert_true(row && H);
        lb_rng r = lb_rng_make(9, (uint64_t)i);
        for (int64_t c = 0; c < n; c++) row[c] = (float)lb_rng_normal(&r);
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < n; b++) H[a * n + b] = (double)row[a] * (double)row[b];
        assert_ok(lb_changes_hessian(turned, i, lb_dmat_of(H, n, n), x.team));
        lb_mat v = lb_mat_of(row, 1, n);
        lb_transform_input(&scaled->folded[i], lb_mat_c(v), v);
        lb_transform_input(&scaled->kept[i], lb_mat_c(v), v);
        lb_transform_input(&turned->kept[i], lb_mat_c(v), v);
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < n; b++) assert_true(fabs(H[a * n + b] - (double)row[a] * (double)row[b]) < 1e-4);
    }
    close_world(&x);
}

typedef struct scarce {
    const world *x;
    lb_fold fold;
    const float *scale;
} scarce;
static lb_status try_changes(void *ctx) {
    const scarce *s = ctx;
    const lb_weights *w = &s->x->model->weights;
    lb_arena *a = NULL;
    lb_changes *c = NULL;
    lb_outputs *o = NULL;
    double apart = 0;
    uint8_t sign[64] = {1};
    lb_status st = lb_arena_new(1, &a);
    if (st == LB_OK) st = lb_changes_new(a, s->x->n, w, NULL, &c);
    if (st == LB_OK) st = lb_changes_fold(c, &s->fold, s->scale);
    if (st == LB_OK) st = lb_changes_keep(c, 1, &(lb_transform){.scale = s->scale, .sign = sign}, s->x->all);
    if (st == LB_OK) st = lb_outputs_new(a, s->x->n, w, 3, s->x->team, &o);
    if (st == LB_OK) st = lb_outputs_block(o, w, &c->w, &apart);
    assert_true(apart < 1e-4);
    lb_arena_free(a);
    return st;
}
static void memory_runs_out(void **state) {
    (void)state;
    world x = open_world("opt/a");
    scarce s = {.x = &x};
    lb_rng r = lb_rng_make(8, 0);
    assert_ok(lb_fold_of(x.arena, x.n, 0, &s.fold));
    assert_int_equal(s.fold.by, LB_SCALED_PARAMETER);
    s.scale = random_scale(&x, &r, NULL, x.n->input[0].cols);
    assert_in_range(llama_fail_each_allocation(try_changes, &s), 15, 1000);
    close_world(&x);
}

static void nothing_behind_a_rotation(void **state) {
    (void)state;
    world x = open_world("mistral/a");
    lb_changes *turned = change(&x, &x.model->weights, NULL, 6, true), *c;
    assert_ok(lb_changes_new(x.arena, x.n, &turned->w, turned, &c));
    lb_rng r = lb_rng_make(1, 1);
    int32_t first;
    lb_net_inputs(x.n, 0, &first);
    lb_transform T2 = {.scale = random_scale(&x, &r, NULL, x.n->input[first].cols)};
    assert_status(LB_E_UNSUPPORTED, lb_changes_keep(c, first, &T2, x.all));
    assert_error_has("is rotated already");
    close_world(&x);
}

int main(void) {
    if (lb_blas_init(2) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_outputs),
        cmocka_unit_test(differences_are_seen),
        cmocka_unit_test(rows_by_themselves),
        cmocka_unit_test(hessians_follow),
        cmocka_unit_test(nothing_behind_a_rotation),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
