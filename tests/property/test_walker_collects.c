/* What a method asks for is what it is given: for each statistic, by options and by rules, of the quantized stream or
 * of the original model, held against plain loops in float64; and nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "eval/collect.h"
#include "quant/grid.h"
#include "support/llama.h"
#include "support/plain_llama.h"
#include "support/small_model.h"

enum { SAMPLES = 12, LENGTH = 60, TOKENS = SAMPLES * LENGTH, CALLS = 32 };

/* ---- methods that remember what they were given ---- */

typedef struct options {
    int64_t bits;
    bool hessian, absmax, mean, range, rows;
} options;

typedef struct call {
    char name[48];
    lb_stats stats; /* copies */
    bool any;
    float *What;
} call;
static call calls[CALLS], later_calls[CALLS];
static int n_calls, n_later;
static const char *stop_at; /* a layer where the run is interrupted; NULL: nowhere */

static void *copy_of(const void *p, size_t bytes) {
    void *to = p ? malloc(bytes + 1) : NULL;
    return to ? memcpy(to, p, bytes) : NULL;
}

static void forget(call *c, int n) {
    for (int i = 0; i < n; i++) {
        free((void *)(uintptr_t)c[i].stats.H.d);
        free((void *)(uintptr_t)c[i].stats.absmax);
        free((void *)(uintptr_t)c[i].stats.mean_abs);
        free((void *)(uintptr_t)c[i].stats.rows.d);
        free(c[i].What);
    }
}
static void forget_all(void) {
    forget(calls, n_calls);
    forget(later_calls, n_later);
    n_calls = n_later = 0;
}

static void remember(call *c, const lb_layer_in *in) {
    size_t cols = (size_t)in->W.cols;
    *c = (call){.any = in->stats != NULL};
    snprintf(c->name, sizeof c->name, "%s", in->name);
    if (!in->stats) return;
    c->stats = *in->stats;
    c->stats.H.d = copy_of(in->stats->H.d, cols * cols * sizeof(double));
    c->stats.absmax = copy_of(in->stats->absmax, cols * sizeof(float));
    c->stats.mean_abs = copy_of(in->stats->mean_abs, cols * sizeof(double));
    c->stats.rows.d = copy_of(in->stats->rows.d, cols * (size_t)in->stats->rows.rows * sizeof(float));
}

static uint32_t needs_of(const void *opts) {
    const options *o = opts;
    return (o->hessian ? LB_NEEDS_HESSIAN : 0u) | (o->absmax ? LB_NEEDS_ABSMAX : 0u) | (o->mean ? LB_NEEDS_MEAN : 0u) |
           (o->range ? LB_NEEDS_RANGE : 0u) | (o->rows ? LB_NEEDS_ROWS : 0u);
}

static lb_status spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_uniform, .bits = (int)((const options *)opts)->bits};
    return LB_OK;
}

static lb_status layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    if (stop_at && strcmp(in->name, stop_at) == 0) return lb_fail(LB_E_INTERRUPTED, "stopped by the test");
    assert_in_range(n_calls, 0, CALLS - 1);
    call *c = &calls[n_calls++];
    remember(c, in);
    LB_TRY(spec(opts, in->W.rows, in->W.cols, &s));
    LB_TRY(lb_round_to_nearest_team(in->arena, &s, false, in->W, in->team, out));
    c->What = malloc((size_t)(in->W.rows * in->W.cols) * sizeof(float));
    assert_non_null(c->What);
    return lb_layer_dequantize_team(out, lb_mat_of(c->What, in->W.rows, in->W.cols), in->team);
}

static lb_status extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = *so_far;
    return LB_OK;
}

static lb_status look(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)opts;
    assert_in_range(n_later, 0, CALLS - 1);
    remember(&later_calls[n_later++], in);
    *out = *in->so_far;
    return LB_OK;
}

#define WANT(name)                                                                                                     \
    { #name, LB_OPT_BOOL, "false", 0, 0, NULL, "wanted", offsetof(options, name) }
static const lb_option table[] = {{"bits", LB_OPT_INT, "3", 2, 8, NULL, "bits a weight", offsetof(options, bits)},
                                  WANT(hessian),
                                  WANT(absmax),
                                  WANT(mean),
                                  WANT(range),
                                  WANT(rows)};
static const lb_method wants = {.api = LB_METHOD_API,
                                .name = "wants",
                                .summary = "asks for what its options say",
                                .needs = LB_NEEDS_STATISTICS,
                                .needs_of = needs_of,
                                .options = {table, sizeof table / sizeof table[0], sizeof(options)},
                                .spec = spec,
                                .layer = layer};
static const lb_method two = {.api = LB_METHOD_API,
                              .name = "two",
                              .summary = "always asks for two",
                              .needs = LB_NEEDS_ABSMAX | LB_NEEDS_ROWS,
                              .options = {table, 1, sizeof(options)},
                              .spec = spec,
                              .layer = layer};
static const lb_method later = {.api = LB_METHOD_API,
                                .name = "later",
                                .summary = "looks at a layer that is there",
                                .needs = LB_NEEDS_MEAN,
                                .spec = spec,
                                .layer = look,
                                .extend = extend};
const lb_method *const lb_method_table[] = {&wants, &two, &later, NULL};

/* ---- what is to come ---- */

typedef struct kind {
    const char *entry;
    bool original, sequential, head;
    uint32_t needs;                                      /* of every layer */
    uint32_t (*of)(int64_t block, int linear);           /* besides */
    uint32_t later;                                      /* of a second stage */
    double (*weight)(const double *norm, int64_t token); /* of tokens in H; NULL: 1 */
} kind;

/* From the lengths of all tokens. */
static double by_norm(const double *norm, int64_t token) { return 1 / (norm[token] * norm[token]); }

static double by_clip(const double *norm, int64_t token) {
    const double *of = norm + token / LENGTH * LENGTH; /* its sequence's */
    double median = 0;
    for (int64_t t = 0; t < LENGTH; t++) {
        int64_t less = 0, same = 0; /* one token's word may stand twice */
        for (int64_t u = 0; u < LENGTH; u++) less += of[u] < of[t], same += of[u] == of[t];
        if (less <= (LENGTH - 1) / 2 && (LENGTH - 1) / 2 < less + same) median = of[t];
    }
    assert_true(median > 0);
    double most = 1.02 * median;
    return norm[token] > most ? most * most / (norm[token] * norm[token]) : 1;
}

static uint32_t of_rules(int64_t block, int l) {
    return (l == PLAIN_DOWN ? LB_NEEDS_ROWS : 0u) | (block == 1 && l == PLAIN_Q ? LB_NEEDS_HESSIAN : 0u);
}
static uint32_t of_one(int64_t block, int l) { return block == 2 && l == PLAIN_O ? LB_NEEDS_ABSMAX : 0u; }

static const kind kinds[] = {
    {.entry = "method: wants, absmax: true", .needs = LB_NEEDS_ABSMAX},
    {.entry = "method: wants, mean: true, propagate: original", .needs = LB_NEEDS_MEAN, .original = true},
    {.entry = "method: wants, range: true, true_sequential: true", .needs = LB_NEEDS_RANGE, .sequential = true},
    {.entry = "method: wants, rows: true, propagate: original, quantize_head: true",
     .needs = LB_NEEDS_ROWS,
     .original = true,
     .head = true},
    {.entry = "method: wants, hessian: true, absmax: true, mean: true, range: true, rows: true, quantize_head: true",
     .needs = LB_NEEDS_STATISTICS,
     .head = true},
    {.entry = "method: wants"},
    {.entry = "method: wants, mean: true, rules: [{match: \"*.down\", rows: true}, {match: 1.q, hessian: true}]",
     .needs = LB_NEEDS_MEAN,
     .of = of_rules},
    {.entry = "method: wants, mean: true, propagate: original, "
              "rules: [{match: \"*.down\", rows: true}, {match: 1.q, hessian: true}]",
     .needs = LB_NEEDS_MEAN,
     .original = true,
     .of = of_rules},
    {.entry = "method: wants, rules: [{match: 2.o, absmax: true}]", .of = of_one},
    {.entry = "method: two, bits: 4", .needs = LB_NEEDS_ABSMAX | LB_NEEDS_ROWS},
    {.entry = "method: wants, hessian: true, token_weight: norm, quantize_head: true",
     .needs = LB_NEEDS_HESSIAN,
     .head = true,
     .weight = by_norm},
    {.entry = "method: wants, hessian: true, absmax: true, token_weight: clip, token_clip: 1.02",
     .needs = LB_NEEDS_HESSIAN | LB_NEEDS_ABSMAX,
     .weight = by_clip},
    {.entry = "method: wants, hessian: true, token_weight: norm, propagate: original",
     .needs = LB_NEEDS_HESSIAN,
     .original = true,
     .weight = by_norm},
    {.entry = "method: wants, hessian: true, token_weight: clip, token_clip: 1.02, propagate: original",
     .needs = LB_NEEDS_HESSIAN,
     .original = true,
     .weight = by_clip},
    {.entry = "stages: [{method: wants, range: true}, {method: later}]",
     .needs = LB_NEEDS_RANGE,
     .later = LB_NEEDS_MEAN},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void near(const char *name, const char *what, double got, double want, double scale) {
    if (!(fabs(got - want) <= 2e-5 * scale)) fail_msg("%s: %s is %.9g, plain loops say %.9g", name, what, got, want);
}

static double energy(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* X (TOKENS, cols); the statistics that `needs` asks for, and no others. */
static void check(const call *c, uint32_t needs, const kind *k, const double *X, int64_t cols) {
    const lb_stats *s = &c->stats;
    double norm[TOKENS], weight[TOKENS];
    for (int64_t t = 0; t < TOKENS; t++) norm[t] = sqrt(energy(X + t * cols, cols));
    for (int64_t t = 0; t < TOKENS; t++) weight[t] = k->weight ? k->weight(norm, t) : 1;
    double lo = X[0], hi = X[0], scale = 0;
    if (c->any != (needs != 0)) fail_msg("%s: statistics were %s", c->name, c->any ? "not asked for" : "missing");
    if (!needs) return;
    assert_int_equal(s->tokens, TOKENS);
    assert_int_equal(s->sequences, SAMPLES);
    assert_non_null(s->kept);
    assert_true(!(needs & LB_NEEDS_HESSIAN) == !s->H.d && !(needs & LB_NEEDS_ABSMAX) == !s->absmax);
    assert_true(!(needs & LB_NEEDS_MEAN) == !s->mean_abs && !(needs & LB_NEEDS_ROWS) == !s->rows.d);
    for (int64_t i = 0; i < TOKENS * cols; i++) {
        lo = fmin(lo, X[i]);
        hi = fmax(hi, X[i]);
        scale = fmax(scale, fabs(X[i]));
    }
    assert_true(!s->H_equal.d && !s->H_clip.d && isnan(s->participation)); /* are nothing for methods */
    near(c->name, "the least", (double)s->lo, needs & LB_NEEDS_RANGE ? lo : 0, scale);
    near(c->name, "the largest", (double)s->hi, needs & LB_NEEDS_RANGE ? hi : 0, scale);
    for (int64_t i = 0; i < cols; i++) {
        double sum = 0, most = 0, square = 0;
        for (int64_t t = 0; t < TOKENS; t++) {
            sum += fabs(X[t * cols + i]);
            most = fmax(most, fabs(X[t * cols + i]));
            square += weight[t] * X[t * cols + i] * X[t * cols + i];
        }
        if (s->absmax) near(c->name, "the largest |x|", (double)s->absmax[i], most, scale);
        if (s->mean_abs) near(c->name, "the mean |x|", s->mean_abs[i], sum / TOKENS, scale);
        if (s->H.d) near(c->name, "H", s->H.d[i * cols + i], square / TOKENS, scale * scale);
    }
    if (s->rows.d) assert_true(s->rows.rows == TOKENS / 2 && s->rows.cols == cols); /* of 720 every second */
    for (int64_t t = 0; s->rows.d && t < TOKENS / 2; t++)
        for (int64_t i = 0; i < cols; i++)
            near(c->name, "a row", (double)s->rows.d[t * s->rows.ld + i], X[(2 * t + 1) * cols + i], scale);
}

/* ---- the walk ---- */

typedef struct world {
    small_plan s;
    lb_runner runner;
    lb_record record;
    lb_model *model;
    double *original[3][PLAIN_INPUTS], *head;
    const kind *kind;
    bool errors; /* of the original model are to be measured */
    bool equal;  /* and with every token counting the same */
} world;

static int64_t width_of(int i) { return i == PLAIN_IN_DOWN ? 24 : 16; }

static const call *find(const call *all, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    fail_msg("%s was not quantized", name);
    return NULL;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void check_carried(const char *name, const lb_carried *got, const double *X, int64_t cols) {
    double e[TOKENS], all = 0, squares = 0, first = 0, so_far = 0;
    int half = 0;
    for (int64_t t = 0; t < TOKENS; t++) {
        e[t] = energy(X + t * cols, cols);
        all += e[t];
        squares += e[t] * e[t];
        first += t % LENGTH < 4 ? e[t] : 0;
    }
    qsort(e, TOKENS, sizeof *e, descending);
    while (so_far < all / 2) so_far += e[half++];
    near(name, "participation", got->participation, all * all / (TOKENS * squares), 1);
    near(name, "the first tokens' share", got->first_share, first / all, 1);
    near(name, "the share that has half", got->half_share, (double)half / TOKENS, 100); /* one more or less */
}

/* Whatever tokens weigh for the method, errors are under H as it is: of outputs W x; or of W x / |x|. */
static void check_energy(const char *name, double got, lb_cmat W, const double *X, bool equal) {
    double sum = 0;
    for (int64_t t = 0; t < TOKENS; t++) {
        double length = equal ? sqrt(energy(X + t * W.cols, W.cols)) : 1;
        for (int64_t r = 0; r < W.rows; r++) {
            double y = 0;
            for (int64_t c = 0; c < W.cols; c++) y += (double)W.d[r * W.ld + c] * X[t * W.cols + c];
            sum += y * y / (length * length);
        }
    }
    near(name, "energy of outputs", got, sum / TOKENS, sum / TOKENS);
}

/* Errors of outputs are there where there was an H. */
static void check_row(const world *x, const char *name, uint32_t needs, const double *X) {
    bool own = needs & LB_NEEDS_HESSIAN, original = x->errors || (x->kind->original && own);
    for (int64_t i = 0; i < x->record.layers; i++) {
        const lb_layer_row *row = &x->record.layer[i];
        if (strcmp(row->name, name) != 0) continue;
        assert_int_equal(!isnan(row->own.output_err), own);
        assert_int_equal(!isnan(row->original.output_err), original);
        assert_int_equal((row->flags & LB_FLAG_RANK_DEFICIENT) != 0, false);
        assert_true(isnan(row->own_carried.participation) == !own);
        assert_true(isnan(row->original_carried.participation) == !original);
        if (own) check_carried(name, &row->own_carried, X, row->cols);
        lb_cmat W = llama_site(x->model, name)->W;
        if (own) check_energy(name, row->own.output_energy, W, X, false);
        assert_true(isnan(row->equal_own.output_err) == !(own && x->equal));
        assert_true(isnan(row->equal_original.output_err) == !(original && x->equal));
        assert_true(isnan(row->rtn_equal_own.output_err) == !(own && x->equal));
        if (own && x->equal) check_energy(name, row->equal_own.output_energy, W, X, true);
        if (own && x->equal && x->kind->original)
            assert_memory_equal(&row->equal_own, &row->equal_original, sizeof row->equal_own);
        return;
    }
    fail_msg("%s has no row", name);
}

static void check_layer(const world *x, const char *name, uint32_t needs, const double *X, int64_t cols) {
    check(find(calls, n_calls, name), needs, x->kind, X, cols);
    check_row(x, name, needs | x->kind->later, X);
    if (x->kind->later) check(find(later_calls, n_later, name), x->kind->later, x->kind, X, cols);
}

static void check_input(const world *x, int64_t b, int i, const double *X, plain_block *after) {
    static const int reads[] = {PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_O,
                                PLAIN_IN_MLP,  PLAIN_IN_MLP,  PLAIN_IN_DOWN};
    for (int l = 0; l < PLAIN_LINEARS; l++) {
        char name[64];
        if (reads[l] != i) continue;
        snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
        lb_cmat W = llama_site(x->model, name)->W;
        check_layer(x, name, x->kind->needs | (x->kind->of ? x->kind->of(b, l) : 0), X, width_of(i));
        after->linear[l].W = lb_cmat_of(find(calls, n_calls, name)->What, W.rows, W.cols);
    }
}

static plain_walk start(const world *x) {
    const lb_arch arch = llama_arch(x->model);
    return plain_walk_start(&arch, x->model->weights.site[x->model->net->embed].W,
                            x->s.plan.calibration.at[0].corpus->token, SAMPLES, LENGTH);
}

static void check_cell(world *x, const lb_cell *c) {
    plain_walk own = start(x);
    forget_all();
    assert_ok(lb_cell_run(&x->runner, c, NULL, NULL, &x->record));
    for (int64_t b = 0; b < 3; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b), now = was;
        for (int i = 0; i < PLAIN_INPUTS; i++) {
            double *X = plain_walk_rows(&own, x->kind->sequential ? &now : &was, (plain_input)i);
            check_input(x, b, i, x->kind->original ? x->original[b][i] : X, &now);
            free(X);
        }
        plain_walk_advance(&own, &now);
    }
    double *head = plain_walk_head_rows(&own, llama_vector(x->model, "final_norm"));
    if (x->kind->head) check_layer(x, "head", x->kind->needs, x->kind->original ? x->head : head, 16);
    assert_int_equal(n_calls, 3 * PLAIN_LINEARS + x->kind->head);
    free(head);
    plain_walk_end(&own);
}

static void original_rows(world *x) {
    plain_walk p = start(x);
    for (int64_t b = 0; b < 3; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b);
        for (int i = 0; i < PLAIN_INPUTS; i++) x->original[b][i] = plain_walk_rows(&p, &was, (plain_input)i);
        plain_walk_advance(&p, &was);
    }
    x->head = plain_walk_head_rows(&p, llama_vector(x->model, "final_norm"));
    plain_walk_end(&p);
}

static void walk(const char *model, int threads, const char *weights, bool errors, bool equal) {
    world x = {.errors = errors, .equal = equal};
    char path[LB_TEST_PATH], name[64];
    lb_str yaml = {0};
    lb_str_add(&yaml,
               "threads: %d\nweights: %s\ncalibration: {text: text.txt, samples: %d, length: %d, original_errors: "
               "%s, equal_errors: %s}\nquantize:\n",
               threads, weights, SAMPLES, LENGTH, errors ? "true" : "false", equal ? "true" : "false");
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "  - {%s}\n", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    snprintf(name, sizeof name, "%s-%d-%s-%d", model, threads, weights, errors);
    small_plan_open(&x.s, model, name, yaml.s);
    lb_str_free(&yaml);
    snprintf(path, sizeof path, "%s/%s", small_home, model);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x.model));
    original_rows(&x);
    lb_plan *p = &x.s.plan;
    assert_int_equal(p->sweep.n, 1 + KINDS);
    x.runner = (lb_runner){.plan = p, .keep = x.s.arena, .cache = p->cache};
    for (int i = 0; i < KINDS; i++) {
        x.kind = &kinds[i];
        check_cell(&x, &p->sweep.cell[1 + i]);
    }
    forget_all();
    lb_runner_close(&x.runner);
    for (int64_t b = 0; b < 3; b++)
        for (int i = 0; i < PLAIN_INPUTS; i++) free(x.original[b][i]);
    free(x.head);
    lb_model_close(x.model);
    small_plan_close(&x.s);
}

static void one_thread(void **state) {
    (void)state;
    walk("tied", 1, "resident", true, false);
}
static void two_threads_streamed(void **state) {
    (void)state;
    walk("untied", 2, "stream", true, true);
}
static void without_original_errors(void **state) {
    (void)state;
    walk("untied", 3, "resident", false, true);
}

/* ---- what the file of a sweep holds ---- */

static const char *const sweeps[] = {
    "  - {method: wants, mean: true, propagate: original}\n",
    "  - {method: wants, mean: true, propagate: original}\n  - {method: wants, absmax: true}\n",
    "  - {method: wants, mean: true, propagate: original}\n  - {method: wants, absmax: true, propagate: original}\n"};

/* bytes: of what the file is estimated to hold, of 72 channels a block and 16 of the head. */
static void key_of_sweep(int i, uint32_t needs, double bytes, char key[65]) {
    small_plan s;
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "threads: 1\ncalibration: {text: text.txt, samples: 4, length: 40, original_errors: false}\nquantize:\n%s",
             sweeps[i]);
    small_plan_open(&s, "tied", "grows", yaml);
    lb_runner r = {.plan = &s.plan, .keep = s.arena, .cache = s.plan.cache};
    for (size_t c = 1; c < s.plan.sweep.n; c++) {
        lb_record record;
        assert_ok(lb_cell_run(&r, &s.plan.sweep.cell[c], NULL, NULL, &record));
        assert_true(calls[0].any);
        forget_all();
    }
    assert_int_equal(lb_plan_shared_needs(&s.plan, &s.plan.sweep.cell[1]), needs);
    assert_true(lb_plan_estimate_shared(&s.plan, &(lb_rate){.flops = 1e9}).disk_bytes == bytes);
    assert_ok(lb_plan_statistics_key(&s.plan, &s.plan.sweep.cell[1], key));
    lb_runner_close(&r);
    small_plan_close(&s);
}

/* Of the cells that solve on the original model; a sweep that needs more has a file of its own. */
static void a_sweep_that_needs_more(void **state) {
    (void)state;
    char key[3][65];
    const double channels = 3 * 72 + 16;
    key_of_sweep(0, LB_NEEDS_MEAN, 8 * channels, key[0]);
    key_of_sweep(1, LB_NEEDS_MEAN, 8 * channels, key[1]);
    key_of_sweep(2, LB_NEEDS_MEAN | LB_NEEDS_ABSMAX, 12 * channels, key[2]);
    assert_string_equal(key[0], key[1]);
    assert_string_not_equal(key[0], key[2]);
}

/* Finished blocks are taken again: errors of outputs are there for some of their layers, as rules say. */
static void goes_on(void **state) {
    (void)state;
    small_plan s;
    lb_record record;
    small_plan_open(&s, "tied", "goes-on",
                    "threads: 1\ncalibration: {text: text.txt, samples: 4, length: 40, original_errors: false}\n"
                    "quantize: [{method: wants, propagate: original, rules: [{match: \"*.up\", hessian: true}]}]\n");
    lb_runner r = {.plan = &s.plan, .keep = s.arena, .cache = s.plan.cache, .dir = s.plan.dir};
    assert_ok(lb_fs_mkdirs(s.plan.dir));
    stop_at = "2.k";
    assert_status(LB_E_INTERRUPTED, lb_cell_run(&r, &s.plan.sweep.cell[1], NULL, NULL, &record));
    assert_int_equal(n_calls, 15);
    stop_at = NULL;
    forget_all();
    assert_ok(lb_cell_run(&r, &s.plan.sweep.cell[1], NULL, NULL, &record));
    assert_int_equal(n_calls, 7);
    for (int64_t i = 0; i < record.layers; i++) {
        bool up = strstr(record.layer[i].name, ".up") != NULL;
        assert_int_equal(!isnan(record.layer[i].own.output_err), up);
        assert_int_equal(!isnan(record.layer[i].original.output_err), up);
    }
    forget_all();
    lb_runner_close(&r);
    small_plan_close(&s);
}

/* ---- a text that is missing ---- */

static lb_status expand(const char *quantize, lb_sweep *out, lb_arena *a) {
    lb_yaml *root = NULL;
    lb_config config;
    char *text = lb_arena_printf(a, "model: m\nquantize: [{%s}]\n", quantize);
    assert_non_null(text);
    assert_ok(lb_yaml_parse(a, "c.yaml", text, strlen(text), &root));
    assert_ok(lb_config_from_tree(a, "c.yaml", root, &config));
    return lb_sweep_expand(a, &config, out);
}

/* A calibration text is needed where the options need it. */
static void without_a_text(void **state) {
    (void)state;
    static const char *const need[] = {
        "method: wants, mean: true", "method: two", "method: wants, bits: [2, 3], rows: [false, true]",
        "method: wants, rules: [{match: \"1.*\", absmax: true}]", "stages: [{method: wants}, {method: later}]"};
    static const char *const not_so[] = {"method: wants", "method: wants, rules: [{match: \"1.*\", bits: 2}]"};
    lb_sweep sweep;
    lb_arena *a = NULL;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof need / sizeof need[0]; i++) {
        assert_status(LB_E_CONFIG, expand(need[i], &sweep, a));
        assert_error_has("needs a calibration text");
    }
    for (size_t i = 0; i < sizeof not_so / sizeof not_so[0]; i++) {
        assert_ok(expand(not_so[i], &sweep, a));
        assert_true(sweep.n == 2 && !sweep.cell[1].refused && sweep.cell[1].needs == 0);
    }
    lb_arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_thread),
                                       cmocka_unit_test(two_threads_streamed),
                                       cmocka_unit_test(without_original_errors),
                                       cmocka_unit_test(a_sweep_that_needs_more),
                                       cmocka_unit_test(goes_on),
                                       cmocka_unit_test(without_a_text)};
    return cmocka_run_group_tests_name("statistics that methods ask for", tests, small_model_setup, NULL);
}
