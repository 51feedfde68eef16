/* Layers that a rule makes one, on their way through a cell: solved for the least squares of all of them, on H of all
 * their inputs as plain loops have it; counted, kept and installed as one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"
#include "run/kept_cell.h"
#include "support/h5_same.h"
#include "support/llama.h"
#include "support/walk_kit.h"

const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_model_method, NULL};

enum { THREE = 3 };
#define RULES                                                                                                          \
    "rules: [{match: \"*.down\", same_as: \"0.down\"}, {match: \"2.q\", same_as: \"1.q\"}, {match: \"1.o\", bits: 5}]"
/* The block whose layer it is then. */
static int64_t owner_of(int64_t b, int l) { return l == PLAIN_DOWN ? 0 : l == PLAIN_Q && b == 2 ? 1 : b; }

/* X of X A = C by elimination, A (n, n) and C (rows, n) overwritten. */
static void eliminate(double *A, double *C, int64_t rows, int64_t n) {
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++) {
            double f = j == k ? 0 : A[k * n + j] / A[k * n + k]; /* column j less f times column k */
            for (int64_t i = 0; i < n && f != 0; i++) A[i * n + j] -= f * A[i * n + k];
            for (int64_t r = 0; r < rows && f != 0; r++) C[r * n + j] -= f * C[r * n + k];
        }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++) C[r * n + k] /= A[k * n + k];
}

/* What the method was given for a layer that `users` blocks have, whose inputs have these H (NULL: not known). */
static void check_target(const walk_world *x, const char *name, const int64_t *user, int users, int l,
                         double *const *H) {
    const probe_call *c = probe_find(name);
    int64_t rows = c->rows, n = c->cols;
    double *A = calloc((size_t)(n * n), sizeof *A), *C = calloc((size_t)(rows * n), sizeof *C), diagonal = 0, worst = 0;
    assert_true(A && C);
    for (int u = 0; u < users; u++) {
        char other[16];
        snprintf(other, sizeof other, "%d.%s", (int)user[u], plain_names[l]);
        lb_cmat W = llama_site(x->model, other)->W;
        for (int64_t i = 0; i < n * n; i++) A[i] += H ? H[u][i] / users : 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < n; k++)
                    C[r * n + i] += (double)W.d[r * W.ld + k] * (H ? H[u][k * n + i] : k == i ? 1.0 : 0.0) / users;
    }
    for (int64_t i = 0; i < n && !H; i++) A[i * n + i] = 1;
    for (int64_t i = 0; i < n; i++) diagonal += A[i * n + i] / (double)n;
    if (c->H)
        if (!(walk_apart(c->H, A, n) < 5e-5)) fail_msg("%s: H is %g off", name, walk_apart(c->H, A, n));
    /* the damping draws to the users' mean */
    for (int u = 0; u < users && H; u++) {
        char other[16];
        snprintf(other, sizeof other, "%d.%s", (int)user[u], plain_names[l]);
        lb_cmat W = llama_site(x->model, other)->W;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < n; i++) C[r * n + i] += 0.01 * diagonal * (double)W.d[r * W.ld + i] / users;
    }
    for (int64_t i = 0; i < n && H; i++) A[i * n + i] += 0.01 * diagonal;
    eliminate(A, C, rows, n);
    for (int64_t i = 0; i < rows * n; i++) worst = fmax(worst, fabs(C[i] - (double)c->W[i]));
    if (!(worst < 2e-4)) fail_msg("%s: the target is %g off", name, worst);
    free(A);
    free(C);
}

/* H of an input that a block's layer has once everything before it is as in `at`. */
static double *hessian_at(const plain_walk *own, const plain_block *at, int64_t from, int64_t to, plain_input i) {
    plain_walk ahead = walk_copy(own);
    for (int64_t b = from; b < to; b++) plain_walk_advance(&ahead, &at[b]);
    double *H = plain_walk_hessian(&ahead, &at[to], i);
    plain_walk_end(&ahead);
    return H;
}

typedef struct rule_kind {
    const char *entry;
    bool needs, original, sequential;
} rule_kind;

static void check_rule_layer(const walk_world *x, const rule_kind *k, const plain_walk *own, const plain_block *at,
                             int64_t b, int l, plain_block *now) {
    char name[16], made[16];
    int64_t user[THREE], owner = owner_of(b, l);
    double *H[THREE], *here = plain_walk_hessian(own, &at[b], walk_reads[l]);
    int users = 0;
    snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
    snprintf(made, sizeof made, "%d.%s", (int)owner, plain_names[l]);
    for (int64_t u = b; u < THREE && owner == b; u++) {
        if (owner_of(u, l) != b) continue;
        user[users] = u;
        H[users++] = hessian_at(own, at, b, u, walk_reads[l]);
    }
    const probe_call *c = probe_find(made);
    lb_cmat W = llama_site(x->model, name)->W;
    assert_non_null(c);
    if (owner != b) assert_null(probe_find(name));
    if (users > 1) {
        double *of[THREE];
        for (int u = 0; u < users; u++) of[u] = k->needs && !k->original ? H[u] : x->H0[user[u]][walk_reads[l]];
        check_target(x, name, user, users, l, of);
    } else if (owner == b) {
        assert_memory_equal(c->W, W.d, (size_t)(W.rows * W.cols) * sizeof *W.d);
    }
    for (int u = 0; u < users; u++) now[user[u]].linear[l].W = lb_cmat_of(c->What, W.rows, W.cols);
    walk_check_errors(x, name, made, W,
                      !k->needs     ? NULL
                      : k->original ? x->H0[b][walk_reads[l]]
                                    : here,
                      x->H0[b][walk_reads[l]]);
    const lb_layer_row *row = walk_row(&x->record, name);
    assert_string_equal(row->same_as, owner == b ? "" : made);
    assert_int_equal(row->size.weights, owner == b ? W.rows * W.cols : 0);
    for (int u = 0; u < users; u++) free(H[u]);
    free(here);
}

static void rules_make_layers_one(void **state) {
    (void)state;
    static const rule_kind kinds[] = {{"  - {method: probe, " RULES "}\n", true, false, false},
                                      {"  - {method: probe, propagate: original, " RULES "}\n", true, true, false},
                                      {"  - {method: probe, true_sequential: true, " RULES "}\n", true, false, true},
                                      {"  - {method: blind, " RULES "}\n", false, false, false}};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    walk_world x;
    lb_str yaml = {0};
    lb_str_add(&yaml, "threads: 2\n" WALK_CONFIG);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "%s", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    walk_open(&x, "tied", "one", yaml.s);
    lb_str_free(&yaml);
    for (int i = 0; i < KINDS; i++) {
        plain_block now[THREE], at[THREE];
        x.cell = &x.s.plan.sweep.cell[1 + i];
        probe_reset();
        assert_ok(lb_cell_run(&x.runner, x.cell, NULL, NULL, &x.record));
        assert_int_equal(probe.calls, THREE * PLAIN_LINEARS - 3);
        for (int64_t b = 0; b < THREE; b++) now[b] = plain_block_of(x.model->net, &x.model->weights, b);
        plain_walk own = walk_start(&x);
        for (int64_t b = 0; b < THREE; b++) {
            memcpy(at, now, sizeof at);
            for (int in = 0; in < PLAIN_INPUTS; in++) {
                if (kinds[i].sequential) memcpy(at, now, sizeof at);
                for (int l = 0; l < PLAIN_LINEARS; l++)
                    if (walk_reads[l] == (plain_input)in) check_rule_layer(&x, &kinds[i], &own, at, b, l, now);
            }
            plain_walk_advance(&own, &now[b]);
        }
        plain_walk_end(&own);
        /* two downs and a q less; o of block 1 with 5 bits */
        assert_int_equal(x.record.size.quantized.total,
                         3 * WALK_BLOCK - 2 * WALK_DOWN - WALK_QO - WALK_QO + 16 * (12 + 4) + 10);
        assert_int_equal(x.record.size.quantized.weights, 3 * WALK_WEIGHTS - 2 * 16 * 24 - 16 * 16);
        assert_int_equal(x.record.size.other_as_fp16, 2 * (x.model->net->vocab * 16 + 3 * 2 * 16 + 16));
    }
    walk_close(&x);
}

/* Two that read one input: the second is measured when the first has been solved. */
static void layers_on_one_input(void **state) {
    (void)state;
    static const char *const method[] = {"probe", "blind"};
    walk_world x;
    walk_open(&x, "tied", "input",
              WALK_CONFIG "  - {method: probe, rules: [{match: \"0.v\", same_as: \"0.k\"}]}\n"
                          "  - {method: blind, rules: [{match: \"0.v\", same_as: \"0.k\"}]}\n");
    for (int i = 0; i < 2; i++) {
        lb_cmat W = llama_site(x.model, "0.v")->W;
        const double *H0 = x.H0[0][walk_reads[PLAIN_V]];
        x.cell = &x.s.plan.sweep.cell[1 + i];
        assert_string_equal(x.cell->method->name, method[i]);
        probe_reset();
        assert_ok(lb_cell_run(&x.runner, x.cell, NULL, NULL, &x.record));
        assert_null(probe_find("0.v"));
        const lb_layer_row *v = walk_row(&x.record, "0.v"), *k = walk_row(&x.record, "0.k");
        assert_true(v->own.weight_err > 0);
        walk_check_errors(&x, "0.v", "0.k", W, i == 0 ? H0 : NULL, H0);
        assert_int_equal(v->flags, k->flags);
        assert_int_equal(v->told.which, k->told.which);
    }
    walk_close(&x);
}

/* Where nothing is known of inputs: the mean. */
static void mean_without_calibration(void **state) {
    (void)state;
    walk_world x = {0};
    small_plan_open(&x.s, "untied", "mean",
                    "eval: {text: text.txt, protocol: W2-32, windows: 3}\nquantize:\n  - {method: blind, " RULES "}\n");
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/untied", small_home);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x.model));
    lb_runner runner = {.plan = &x.s.plan, .keep = x.s.arena, .cache = x.s.plan.cache};
    assert_ok(lb_cell_run(&runner, &x.s.plan.sweep.cell[1], NULL, NULL, &x.record));
    check_target(&x, "0.down", (const int64_t[]){0, 1, 2}, 3, PLAIN_DOWN, NULL);
    check_target(&x, "1.q", (const int64_t[]){1, 2}, 2, PLAIN_Q, NULL);
    assert_true(isnan(walk_row(&x.record, "2.down")->original.output_err));
    walk_close(&x);
}

/* Kept once, and installed in each of them again; killed and gone on. */
static void rules_kept_and_going_on(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "untied", "one-kept",
                    "weights: stream\nkeep_layers: true\n" WALK_CONFIG "  - {method: probe, " RULES "}\n");
    const lb_cell *c = &s.plan.sweep.cell[1];
    const char *whole = walk_folder(&s, "one-whole"), *parts = walk_folder(&s, "one-parts");
    char *x = lb_arena_printf(s.arena, "%s/%s.h5", whole, c->stem);
    char *y = lb_arena_printf(s.arena, "%s/%s.h5", parts, c->stem);
    lb_record r;
    lb_kept_cell kept;
    assert_true(x && y);
    assert_ok(walk_run_in(&s, whole, c, &r));
    lb_cmat made = lb_cmat_of(probe_find("0.down")->What, 16, 24), have;
    assert_ok(lb_kept_cell_open(s.arena, x, "", LB_WEIGHTS, true, s.team, &kept));
    for (int b = 0; b < THREE; b++) {
        int32_t site = lb_net_site(kept.model->net, b, "down");
        assert_ok(lb_matrix_get(&kept.w.site[site], s.arena, NULL, &have));
        assert_memory_equal(have.d, made.d, (size_t)(have.rows * have.cols) * sizeof *have.d);
    }
    lb_model_close(kept.model);
    probe_reset();
    static const char *const stops[] = {"1.q", "2.k"};
    for (int k = 0; k < 2; k++) {
        probe.fail_at = stops[k];
        assert_status(LB_E_INTERRUPTED, walk_run_in(&s, parts, c, &r));
        probe_reset();
    }
    assert_ok(walk_run_in(&s, parts, c, &r));
    assert_string_equal(probe.call[0].name, "2.k");
    assert_true(h5_same(x, y, "/host") > 50);
    probe_reset();
    small_plan_close(&s);
}

static void rules_that_cannot_be(void **state) {
    (void)state;
    static const struct {
        const char *rules, *reason;
    } bad[] = {
        {"{match: \"0.down\", same_as: \"1.down\"}", "layer 0.down: same_as: 1.down must be a layer before it"},
        {"{match: \"1.up\", same_as: \"0.down\"}", "layer 1.up: same_as: 0.down has another shape"},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"2.q\", same_as: \"1.q\"}", "is itself to be one with another"},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"0.q\", same_as: \"1.q\"}", "must be a layer before it"},
        {"{match: \"0.q\", skip: true}, {match: \"1.q\", same_as: \"0.q\"}", "0.q is not quantized"},
        {"{match: \"head\", same_as: \"0.q\"}", "layer head: same_as: 0.q is in a block, and that is not"},
        {"{match: \"embed\", same_as: \"0.q\"}", "layer head: same_as: 0.q is in a block, and that is not"},
    };
    lb_str yaml = {0};
    small_plan s;
    lb_str_add(&yaml, WALK_CONFIG);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        lb_str_add(&yaml, "  - {method: probe, quantize_head: true, rules: [%s]}\n", bad[i].rules);
    lb_str_add(&yaml, "  - {method: whole, rules: [{match: \"1.q\", same_as: \"0.q\"}]}\n");
    lb_str_add(&yaml,
               "  - {method: blind, rules: [{match: \"1.q\", same_as: \"0.q\"}, {match: \"1.*\", skip: true}]}\n");
    lb_str_add(&yaml, "  - {method: blind, rules: [{match: \"2.q\", same_as: \"0.q\"}]}\n");
    lb_str_add(&yaml, "  - {method: blind, rules: [{match: \"2.q\", same_as: \"1.q\"}]}\n");
    small_plan_open(&s, "tied", "cannot", yaml.s);
    size_t n = sizeof bad / sizeof bad[0];
    assert_int_equal(s.plan.sweep.n, 1 + n + 4); /* the last two are not one cell, and not one key */
    assert_string_not_equal(s.plan.sweep.cell[n + 3].key, s.plan.sweep.cell[n + 4].key);
    for (size_t i = 0; i < n; i++) {
        assert_true(s.plan.sweep.cell[1 + i].refused);
        if (!strstr(s.plan.sweep.cell[1 + i].reason, bad[i].reason)) fail_msg("%s", s.plan.sweep.cell[1 + i].reason);
    }
    assert_non_null(strstr(s.plan.sweep.cell[1 + n].reason, "cannot be trained with it"));
    assert_false(s.plan.sweep.cell[2 + n].refused); /* a later rule wins */
    assert_int_equal(s.plan.sweep.cell[2 + n].layer[PLAIN_LINEARS].same_as, -1);
    small_plan_close(&s);
    lb_str_free(&yaml);
    small_plan_open(&s, "sharing", "cannot-again",
                    WALK_CONFIG "  - {method: probe, rules: [{match: \"2.q\", same_as: \"0.q\"}]}\n");
    assert_non_null(strstr(s.plan.sweep.cell[1].reason, "is in a model whose blocks share layers already"));
    small_plan_close(&s);
}

/* A cell run with its own memory, so that every call begins alike. */
static lb_status run_cell(void *ctx) {
    walk_world *x = ctx;
    lb_runner r = x->runner;
    lb_record out;
    r.stats = NULL;
    r.stats_key[0] = 0;
    LB_TRY(lb_arena_new(0, &r.keep));
    lb_status st = lb_cell_run(&r, x->cell, NULL, NULL, &out);
    lb_runner_close(&r);
    lb_arena_free(r.keep);
    probe_reset();
    return st;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    walk_world x;
    walk_open(&x, "tied", "scarce", "threads: 1\n" WALK_CONFIG "  - {method: probe, " RULES "}\n");
    x.cell = &x.s.plan.sweep.cell[1];
    assert_ok(run_cell(&x)); /* leaves the statistics in their file */
    assert_true(llama_fail_each_allocation(run_cell, &x) > 40);
    walk_close(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_make_layers_one),    cmocka_unit_test(layers_on_one_input),
        cmocka_unit_test(mean_without_calibration), cmocka_unit_test(rules_kept_and_going_on),
        cmocka_unit_test(rules_that_cannot_be),     cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, small_model_setup_sharing, NULL);
}
