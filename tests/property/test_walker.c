/* The walk through a model held against plain loops in float64 that share no code with it: for every layer of every
 * kind of cell, the statistics that it was solved on, what was installed, its errors, and what was evaluated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"
#include "support/llama.h"
#include "support/plain_llama.h"
#include "support/probe.h"
#include "support/small_model.h"

const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_block_method,
                                            &probe_model_method, NULL};

enum { SAMPLES = 5, LENGTH = 52, WINDOWS = 3, WINDOW = 32 };

/* One cell: an entry of a config, and what is to come of it. */
typedef struct kind {
    const char *entry;
    bool original, sequential;         /* the rest: propagate: quantized, all inputs of a block at once */
    int (*bits)(int64_t block, int l); /* 0: skipped; NULL: 3 everywhere */
    bool embed, head;
} kind;

/* The rules below, by hand. */
static int some_bits(int64_t block, int l) {
    if (block == 0 && l == PLAIN_O) return 0;
    if (block == 2 && l == PLAIN_K) return 0;
    if (l == PLAIN_DOWN) return 5;
    return block == 1 ? 2 : 3;
}
#define SOME_RULES                                                                                                     \
    "rules: [{match: \"1.*\", bits: 2}, {match: \"0.o\", skip: true}, {match: \"*.down\", bits: 5, group: 8}, "        \
    "{match: \"2.k\", skip: true}]"
static int gaps(int64_t block, int l) {
    if (block == 1) return l == PLAIN_UP ? 3 : 0;
    return block == 2 && l <= PLAIN_V ? 0 : 3;
}
#define GAPS                                                                                                           \
    "rules: [{match: \"1.*\", skip: true}, {match: \"1.up\", skip: false}, {match: \"2.q\", skip: true}, "             \
    "{match: \"2.k\", skip: true}, {match: \"2.v\", skip: true}]"
static int first_only(int64_t block, int l) { return block == 0 && l == PLAIN_Q ? 2 : 0; }
#define FIRST_ONLY "rules: [{match: \"*\", skip: true}, {match: \"0.q\", skip: false, bits: 2}]"

static const kind kinds[] = {
    {.entry = "method: probe"},
    {.entry = "method: probe, propagate: original", .original = true},
    {.entry = "method: probe, true_sequential: true", .sequential = true},
    {.entry = "method: probe, group: 8, quantize_head: true", .head = true},
    {.entry = "method: probe, propagate: original, quantize_head: true", .original = true, .head = true},
    {.entry = "method: probe, true_sequential: true, quantize_head: true", .sequential = true, .head = true},
    {.entry = "method: probe, " SOME_RULES, .bits = some_bits},
    {.entry = "method: probe, true_sequential: true, " SOME_RULES, .sequential = true, .bits = some_bits},
    {.entry = "method: probe, " GAPS, .bits = gaps},
    {.entry = "method: probe, true_sequential: true, " GAPS, .sequential = true, .bits = gaps},
    {.entry = "method: probe, true_sequential: true, " FIRST_ONLY, .sequential = true, .bits = first_only},
    {.entry = "method: probe, act: 3"},
    {.entry = "method: probe, act: 3, act_symmetric: true, true_sequential: true", .sequential = true},
    {.entry = "method: probe, act: 3, propagate: original", .original = true},
    {.entry = "method: blind, group: 16, quantize_head: true", .head = true},
    {.entry = "method: blind, quantize_head: true, quantize_embedding: true", .head = true, .embed = true},
    {.entry = "method: blind, quantize_head: true, " SOME_RULES, .bits = some_bits, .head = true},
    {.entry = "method: together, group: 8"},
    {.entry = "method: together, " SOME_RULES, .bits = some_bits},
    {.entry = "method: together, act: 3, act_symmetric: true, " GAPS, .bits = gaps},
    {.entry = "method: whole, quantize_head: true, quantize_embedding: true, " SOME_RULES,
     .bits = some_bits,
     .head = true,
     .embed = true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* What a test is about. */
typedef struct world {
    small_plan s;
    lb_runner runner;
    lb_record baseline;
    lb_model *model; /* all in memory */
    plain_walk original;
    const kind *kind;
    const lb_cell *cell;
    lb_record record;
    double tolerance;    /* of H, as a share of sqrt(H_ii H_jj) */
    plain_block *made;   /* (blocks) as the cell left them */
    lb_cmat embed, head; /* likewise */
    double *H0[3][PLAIN_INPUTS], *head0;
} world;

static lb_cmat view(const float *d, lb_cmat like) { return lb_cmat_of(d, like.rows, like.cols); }

static const char *layer_name(int64_t block, int l, char out[64]) {
    snprintf(out, 64, "%d.%s", (int)block, plain_names[l]);
    return out;
}

static lb_cmat end_of(const lb_model *m, bool head) { return m->weights.site[head ? m->net->head : m->net->embed].W; }

static int bits_of(const kind *k, int64_t block, int l) { return k->bits ? k->bits(block, l) : 3; }

/* On statistics? */
static bool solves(const world *x) {
    return x->cell->method == &probe_method || x->cell->method == &probe_block_method;
}

/* ---- one layer ---- */

/* The difference as a share of sqrt(H_ii H_jj): the largest; with quantizers of activations, where a code of one token
 * may go the other way in float32, the root of the mean square. */
static double apart(const world *x, const double *a, const double *b, int64_t n) {
    double most = 0, sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double d = fabs(a[i * n + j] - b[i * n + j]) / sqrt(b[i * n + i] * b[j * n + j]);
            most = fmax(most, d);
            sum += d * d / (double)(n * n);
        }
    return strstr(x->kind->entry, "act: ") ? sqrt(sum) : most;
}

static void near(const char *layer, const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("%s: %s is %.12g, plain loops say %.12g", layer, what, got, want);
}

/* Round to nearest onto the probe's storage. */
static void round_plainly(lb_cmat W, int bits, int64_t group, float *out) {
    float top = (float)((1 << bits) - 1);
    if (group == LB_GROUP_ROW) group = W.cols;
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t g = 0; g < W.cols; g += group) {
            float low = 0, high = 0;
            int64_t end = g + group < W.cols ? g + group : W.cols;
            for (int64_t c = g; c < end; c++) {
                low = fminf(low, W.d[r * W.ld + c]);
                high = fmaxf(high, W.d[r * W.ld + c]);
            }
            float scale = (high - low) / top, zero = rintf(-low / scale);
            for (int64_t c = g; c < end; c++) {
                float code = fminf(fmaxf(rintf(W.d[r * W.ld + c] / scale) + zero, 0), top);
                out[r * W.cols + c] = scale * (code - zero);
            }
        }
}

static void check_error(const char *name, const char *what, const lb_layer_error *e, lb_cmat W, lb_cmat What,
                        const double *H, double tolerance) {
    near(name, what, e->weight_err, plain_squares(What, W), 1e-9);
    near(name, what, e->weight_energy, plain_squares(W, (lb_cmat){0}), 1e-9);
    if (!H) {
        if (!isnan(e->output_err) || !isnan(e->output_energy)) fail_msg("%s: %s without statistics", name, what);
        return;
    }
    near(name, what, e->output_err, plain_trace(What, W, H), tolerance);
    near(name, what, e->output_energy, plain_trace(W, (lb_cmat){0}, H), tolerance);
}

/* H: what the layer was to be solved on, NULL: nothing. H0: of the original model; NULL: not known. */
static void check_layer(const world *x, const char *name, lb_cmat W, int bits, const double *H, const double *H0) {
    const probe_call *c = probe_find(name);
    const lb_layer_row *row = NULL;
    for (int64_t i = 0; i < x->record.layers; i++)
        if (strcmp(x->record.layer[i].name, name) == 0) row = &x->record.layer[i];
    if (!c || !row) fail_msg("%s was not quantized", name);
    assert_int_equal(c->opts.bits, bits);
    assert_true(c->rows == W.rows && c->cols == W.cols);
    for (int64_t i = 0; i < W.rows; i++)
        assert_memory_equal(c->W + i * W.cols, W.d + i * W.ld, (size_t)W.cols * sizeof *W.d);
    if (!c->H != !H) fail_msg("%s: statistics were %s", name, c->H ? "not asked for" : "missing");
    if (H) {
        double off = apart(x, c->H, H, W.cols);
        if (!(off <= x->tolerance)) fail_msg("%s: H is %g off what plain loops give (%s)", name, off, x->kind->entry);
        assert_int_equal(c->tokens, SAMPLES * LENGTH);
        assert_int_equal(c->sequences, SAMPLES);
    }
    float *rtn = malloc((size_t)(W.rows * W.cols) * sizeof *rtn);
    assert_non_null(rtn);
    round_plainly(W, bits, c->opts.group, rtn);
    lb_cmat What = view(c->What, W), R = view(rtn, W);
    check_error(name, "own error", &row->own, W, What, H, x->tolerance);
    check_error(name, "original error", &row->original, W, What, H0, x->tolerance);
    check_error(name, "own error of round-to-nearest", &row->rtn_own, W, R, H, x->tolerance);
    check_error(name, "original error of round-to-nearest", &row->rtn_original, W, R, H0, x->tolerance);
    free(rtn);
    assert_true(row->quantized && row->bits == bits && row->group == c->opts.group);
    assert_true(row->rows == W.rows && row->cols == W.cols);
}

static void check_skipped(const world *x, const char *name) {
    assert_null(probe_find(name));
    for (int64_t i = 0; i < x->record.layers; i++) {
        const lb_layer_row *row = &x->record.layer[i];
        if (strcmp(row->name, name) != 0) continue;
        assert_false(row->quantized);
        assert_true(row->bits == 16 && row->own.weight_err == 0 && row->original.weight_err == 0);
        assert_int_equal(row->size.total, 2 * row->rows * row->cols);
        return;
    }
    fail_msg("%s has no row", name);
}

/* ---- all layers ---- */

/* The layers on one input of a block; `now` becomes what the walk sees of the block afterwards. */
static void check_input(const world *x, int64_t b, plain_input i, const double *H, plain_block *after) {
    bool blind = !solves(x);
    for (int l = 0; l < PLAIN_LINEARS; l++) {
        static const plain_input reads[] = {PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_O,
                                            PLAIN_IN_MLP,  PLAIN_IN_MLP,  PLAIN_IN_DOWN};
        char name[64];
        int bits = bits_of(x->kind, b, l);
        lb_cmat W = llama_site(x->model, layer_name(b, l, name))->W;
        if (reads[l] != i) continue;
        if (!bits) {
            check_skipped(x, name);
            continue;
        }
        check_layer(x, name, W, bits, blind ? NULL : H, x->H0[b][i]);
        const probe_call *c = probe_find(name);
        after->linear[l].W = view(c->What, W);
        after->linear[l].act = (lb_actquant){.bits = (int)c->opts.act, .symmetric = c->opts.act_symmetric};
    }
}

/* That the other H would have been noticed. */
static void must_differ(const world *x, const double *a, const double *b, int64_t n) {
    if (apart(x, a, b, n) < 10 * x->tolerance) fail_msg("this model cannot tell one H from another");
}

/* What came out of the block with the layers that were made of it. */
static void check_passed(int64_t b, const plain_walk *own) {
    int64_t n = LENGTH * own->arch.dim;
    double most = 0, off = 0;
    if (!probe.passed[b]) return; /* nothing of it was to be quantized */
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(own->x[n + i]));
        off = fmax(off, fabs(own->x[n + i] - (double)probe.passed[b][i]));
    }
    if (!(off <= 1e-5 * most)) fail_msg("block %d: what comes out of it is %g off", (int)b, off / most);
}

static void check_blocks(world *x, plain_walk *own) {
    for (int64_t b = 0; b < 3; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b), now = was, after = was;
        for (int i = 0; i < PLAIN_INPUTS; i++) {
            double *at_once = plain_walk_hessian(own, &was, (plain_input)i), *H0 = x->H0[b][i];
            double *in_turn = plain_walk_hessian(own, &now, (plain_input)i);
            int64_t n = i == PLAIN_IN_DOWN ? 24 : 16;
            bool some = i > 0 && bits_of(x->kind, b, PLAIN_Q), before = b > 0;
            if (before) must_differ(x, at_once, H0, n);
            if (some && x->kind->sequential) must_differ(x, in_turn, at_once, n);
            check_input(x, b, (plain_input)i, x->kind->original ? H0 : x->kind->sequential ? in_turn : at_once, &after);
            now = after;
            free(at_once);
            free(in_turn);
        }
        plain_walk_advance(own, &after);
        x->made[b] = after;
        if (x->cell->method == &probe_block_method && !strstr(x->kind->entry, "act: ")) check_passed(b, own);
    }
}

static void check_ends(world *x, const plain_walk *own) {
    bool tied = x->model->net->site[x->model->net->head].same_as >= 0, blind = !solves(x);
    double *H = plain_walk_head_hessian(own, llama_vector(x->model, "final_norm"));
    lb_cmat embed = x->embed = end_of(x->model, false), head = x->head = end_of(x->model, true);
    must_differ(x, H, x->head0, 16);
    if (x->kind->head || (tied && x->kind->embed)) {
        check_layer(x, "head", head, 3, blind ? NULL : x->kind->original ? x->head0 : H, x->head0);
        x->head = view(probe_find("head")->What, head);
    }
    if (x->kind->embed && !tied) {
        check_layer(x, "embed", embed, 3, NULL, NULL);
        x->embed = view(probe_find("embed")->What, embed);
    }
    if (tied) x->embed = x->head;
    free(H);
}

/* ---- what is installed and evaluated ---- */

static void same_matrix(lb_arena *a, const lb_linop *op, lb_cmat want, const char *name) {
    lb_cmat have;
    assert_ok(lb_matrix_get(op, a, NULL, &have));
    assert_true(have.rows == want.rows && have.cols == want.cols);
    for (int64_t r = 0; r < have.rows; r++)
        if (memcmp(have.d + r * have.ld, want.d + r * want.ld, (size_t)have.cols * sizeof *have.d) != 0)
            fail_msg("%s: another matrix is installed than the one that was made", name);
}

static lb_cmat installed(const lb_model *m, const char *name, lb_cmat W) {
    const probe_call *c =
        probe_find(m->net->site[m->net->head].same_as >= 0 && strcmp(name, "embed") == 0 ? "head" : name);
    return c ? view(c->What, W) : W;
}

static lb_status check_weights(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    const world *x = user;
    (void)c, (void)log;
    lb_arena *a = NULL;
    assert_ok(lb_arena_new(0, &a));
    const lb_net *n = x->model->net;
    for (int32_t i = 0; i < n->sites; i++) {
        const char *name = n->site[i].name;
        const probe_call *made = n->site[i].block >= 0 ? probe_find(name) : NULL;
        same_matrix(a, &w->site[i], installed(x->model, name, x->model->weights.site[i].W), name);
        assert_int_equal(w->site[i].act.bits, made ? made->opts.act : 0);
        assert_int_equal(w->site[i].act.symmetric, made && made->opts.act_symmetric);
    }
    lb_arena_free(a);
    return LB_OK;
}

/* log p of the evaluated windows, from the model as the cell left it. */
static double *log_p(const world *x, const plain_block *blocks, lb_cmat embed, lb_cmat head) {
    const lb_arch arch = llama_arch(x->model);
    plain_walk p = plain_walk_start(&arch, embed, x->s.plan.eval[0].corpus->token, WINDOWS, WINDOW);
    for (int64_t b = 0; b < 3; b++) plain_walk_advance(&p, &blocks[b]);
    double *out = plain_walk_log_p(&p, llama_vector(x->model, "final_norm"), head);
    plain_walk_end(&p);
    return out;
}

static void check_eval(const world *x, const lb_eval_row *row, const double *now, const double *base, int64_t from) {
    const int32_t *token = x->s.plan.eval[0].corpus->token;
    int64_t vocab = x->model->net->vocab;
    double all = 0, delta = 0, tolerance = strstr(x->kind->entry, "act: ") ? 0.05 : 2e-4;
    assert_int_equal(row->eval.windows, WINDOWS);
    assert_int_equal(row->eval.scored, WINDOWS * (WINDOW - 1 - from));
    for (int64_t w = 0; w < WINDOWS; w++) {
        double nll = 0, before = 0, kl = 0, scored = (double)(WINDOW - 1 - from);
        for (int64_t t = w * WINDOW + from; t + 1 < (w + 1) * WINDOW; t++) {
            nll -= now[t * vocab + token[t + 1]] / scored;
            before -= base[t * vocab + token[t + 1]] / scored;
            for (int64_t i = 0; i < vocab; i++)
                kl += exp(base[t * vocab + i]) * (base[t * vocab + i] - now[t * vocab + i]) / scored;
        }
        near("window", "NLL", row->eval.window_nll[w], nll, tolerance);
        near("window", "KL", row->eval.window_kl[w], kl, 6 * tolerance);
        all += nll / WINDOWS;
        delta += (nll - before) / WINDOWS;
    }
    near("all", "PPL", row->eval.ppl, exp(all), 3 * tolerance);
    assert_true(row->has_paired);
    if (!(fabs(row->paired.delta - delta) < 3 * tolerance))
        fail_msg("the paired difference is %.9g, plain loops say %.9g (%s)", row->paired.delta, delta, x->kind->entry);
    assert_true(row->eval.kl_mean > 0.01);
}

static void check_evals(const world *x) {
    plain_block was[3];
    for (int64_t b = 0; b < 3; b++) was[b] = plain_block_of(x->model->net, &x->model->weights, b);
    double *now = log_p(x, x->made, x->embed, x->head);
    double *base = log_p(x, was, end_of(x->model, false), end_of(x->model, true));
    assert_int_equal(x->record.evals, 2);
    check_eval(x, &x->record.eval[0], now, base, 0);
    check_eval(x, &x->record.eval[1], now, base, WINDOW / 2); /* the second half of each window */
    free(now);
    free(base);
}

/* ---- one cell, all cells ---- */

static void check_calls(const world *x) {
    int64_t n = 0;
    for (int64_t b = 0; b < 3; b++)
        for (int l = 0; l < PLAIN_LINEARS; l++) n += bits_of(x->kind, b, l) != 0;
    bool tied = x->model->net->site[x->model->net->head].same_as >= 0;
    n += tied ? x->kind->head || x->kind->embed : x->kind->head + x->kind->embed;
    assert_int_equal(probe.calls, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            assert_string_not_equal(probe.call[i].name, probe.call[k].name);
            if (solves(x)) assert_true(probe.call[i].seed != probe.call[k].seed);
        }
}

static void check_cell(world *x, const lb_cell *c, const kind *k) {
    plain_block made[3];
    probe_reset();
    x->kind = k;
    x->cell = c;
    x->made = made;
    x->tolerance = strstr(k->entry, "act: ") ? 3e-3 : 5e-5;
    if (c->refused) { /* training needs all weights in memory */
        assert_true(c->trains && x->s.config.weights == LB_WEIGHTS_STREAM);
        return;
    }
    assert_ok(lb_cell_run(&x->runner, c, check_weights, x, &x->record));
    check_calls(x);
    bool probed = solves(x);
    assert_string_equal(x->record.propagate, !probed ? "" : k->original ? "original" : "quantized");
    assert_int_equal(x->record.true_sequential, k->sequential);
    const lb_arch own_arch = llama_arch(x->model);
    plain_walk own = plain_walk_start(&own_arch, end_of(x->model, false), x->s.plan.calibration.at[0].corpus->token,
                                      SAMPLES, LENGTH);
    check_blocks(x, &own);
    check_ends(x, &own);
    check_evals(x);
    plain_walk_end(&own);
}

static void original_statistics(world *x) {
    const lb_arch arch = llama_arch(x->model);
    plain_walk p =
        plain_walk_start(&arch, end_of(x->model, false), x->s.plan.calibration.at[0].corpus->token, SAMPLES, LENGTH);
    for (int64_t b = 0; b < 3; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b);
        for (int i = 0; i < PLAIN_INPUTS; i++) x->H0[b][i] = plain_walk_hessian(&p, &was, (plain_input)i);
        plain_walk_advance(&p, &was);
    }
    x->head0 = plain_walk_head_hessian(&p, llama_vector(x->model, "final_norm"));
    plain_walk_end(&p);
}

static void walk(const char *model, int threads, const char *weights) {
    world x = {0};
    char path[LB_TEST_PATH], name[64];
    lb_str yaml = {0};
    lb_str_add(
        &yaml,
        "threads: %d\nweights: %s\ncalibration: {text: text.txt, samples: %d, length: %d}\n"
        "eval: [{text: text.txt, protocol: W2-%d, windows: %d}, {text: text.txt, name: again, protocol: LCPP-%d, "
        "windows: %d}]\nquantize:\n",
        threads, weights, SAMPLES, LENGTH, WINDOW, WINDOWS, WINDOW, WINDOWS);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "  - {%s}\n", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    snprintf(name, sizeof name, "%s-%d-%s", model, threads, weights);
    small_plan_open(&x.s, model, name, yaml.s);
    lb_str_free(&yaml);
    snprintf(path, sizeof path, "%s/%s", small_home, model);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x.model));
    original_statistics(&x);
    lb_plan *p = &x.s.plan;
    assert_int_equal(p->sweep.n, 1 + KINDS);
    x.runner = (lb_runner){.plan = p, .keep = x.s.arena, .cache = p->cache};
    assert_ok(lb_cell_run(&x.runner, &p->sweep.cell[0], NULL, NULL, &x.baseline));
    x.runner.baseline = &x.baseline;
    for (int i = 0; i < KINDS; i++) check_cell(&x, &p->sweep.cell[1 + i], &kinds[i]);
    probe_reset();
    lb_runner_close(&x.runner);
    for (int64_t b = 0; b < 3; b++)
        for (int i = 0; i < PLAIN_INPUTS; i++) free(x.H0[b][i]);
    free(x.head0);
    lb_model_close(x.model);
    small_plan_close(&x.s);
}

static void tied_one_thread(void **state) {
    (void)state;
    walk("tied", 1, "resident");
}
static void untied_two_threads(void **state) {
    (void)state;
    walk("untied", 2, "resident");
}
static void untied_streamed(void **state) {
    (void)state;
    walk("untied", 2, "stream");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tied_one_thread),
        cmocka_unit_test(untied_two_threads),
        cmocka_unit_test(untied_streamed),
    };
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}
