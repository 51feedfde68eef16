#include "support/synthetic_results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "result/store_told.h"

#define BLOCKS 6
#define TYPES  7
#define MOST   96

static const char *const type_name[TYPES] = {"q", "k", "v", "o", "gate", "up", "down"};
static const int64_t type_rows[TYPES] = {64, 32, 32, 64, 160, 160, 64};
static const int64_t type_cols[TYPES] = {64, 64, 64, 64, 64, 64, 160};

static void *need(void *p) {
    if (!p) abort();
    return p;
}

static char *copy(lb_results *r, const char *s) { return need(lb_arena_strdup(r->arena, s)); }

static void pair(lb_results *r, lb_pairs *p, const char *key, const char *value) {
    lb_pair *at = need(LB_NEW(r->arena, lb_pair, p->n + 1));
    if (p->n) memcpy(at, p->at, (size_t)p->n * sizeof *at);
    at[p->n] = (lb_pair){copy(r, key), copy(r, value)};
    p->at = at;
    p->n++;
}

static void option(lb_results *r, lb_record *c, const char *key, const char *value) {
    pair(r, &c->options, key, value);
    pair(r, &c->varied, key, value);
}

/* Powers of two and four: exact everywhere. */
static double halved(double x, int times) { return ldexp(x, -times); }

static lb_layer_error error_of(int64_t rows, int64_t cols, double rel, bool output) {
    double energy = (double)(rows * cols) / 64;
    lb_layer_error e = {.weight_err = energy * rel / 4, .weight_energy = energy, .rows = rows, .cols = cols};
    e.output_err = output ? energy * rel * 2 : NAN;
    e.output_energy = output ? energy * 2 : NAN;
    return e;
}

static lb_size size_of(int64_t rows, int64_t cols, int bits, int64_t group) {
    int64_t groups = group > 0 ? (cols + group - 1) / group : 1;
    lb_size s = {.weights = rows * cols, .codes = rows * cols * bits / 8, .scales = 4 * rows * groups};
    s.zeros = rows * groups * bits / 8;
    s.padding = rows;
    s.total = s.codes + s.scales + s.zeros + s.padding;
    return s;
}

static void layers(lb_results *r, lb_record *c, double gain, bool hessian) {
    c->layers = BLOCKS * TYPES;
    c->diagnostics = lb_told_columns;
    c->layer = need(LB_NEW(r->arena, lb_layer_row, c->layers));
    for (int b = 0; b < BLOCKS; b++)
        for (int t = 0; t < TYPES; t++) {
            lb_layer_row *l = &c->layer[b * TYPES + t];
            char *name = need(lb_arena_printf(r->arena, "%d.%s", b, type_name[t]));
            memcpy(l->name, name, strlen(name) + 1);
            l->block = b, l->type = type_name[t], l->rows = type_rows[t], l->cols = type_cols[t];
            l->quantized = c->bits > 0 && !(b == BLOCKS - 1 && t == 6);
            l->storage = c->storage, l->bits = c->bits, l->group = c->group;
            if (!l->quantized) {
                l->size = (lb_size){.weights = l->rows * l->cols, .total = 2 * l->rows * l->cols};
                continue;
            }
            l->size = size_of(l->rows, l->cols, c->bits, c->group);
            lb_size_add(&c->size.quantized, &l->size);
            double rel = halved(1 + 0.25 * b + (t == 6 ? 3 : t == 2 ? 0.0625 : 0.5 * t), 2 * c->bits);
            l->own = error_of(l->rows, l->cols, rel * gain, hessian);
            l->original = error_of(l->rows, l->cols, rel * gain * 1.25, true);
            l->rtn_own = error_of(l->rows, l->cols, rel, hessian);
            l->rtn_original = error_of(l->rows, l->cols, rel, true);
            l->seconds = 0.25;
            bool dead = hessian && t == 3 && b > 0;
            if (hessian) lb_tell(&l->told, 0, 0.0078125);
            if (dead) lb_tell(&l->told, 1, b);
            l->flags = c->flags & (dead ? ~0u : ~(uint32_t)LB_FLAG_DEAD_COLUMNS);
        }
}

/* lift: what the cell adds to every window's mean, in nats. */
static void evaluation(lb_results *r, lb_record *c, const char *name, const char *protocol, lb_protocol_rule rule,
                       int64_t n, int64_t windows, double ppl, double lift) {
    lb_eval_row *all = need(LB_NEW(r->arena, lb_eval_row, c->evals + 1));
    if (c->evals) memcpy(all, c->eval, (size_t)c->evals * sizeof *all);
    lb_eval_row *e = &all[c->evals++];
    c->eval = all;
    e->name = copy(r, name);
    e->text_hash = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08";
    e->text_path = "texts/test.txt", e->bos = "auto: none", e->text_tokens = 304978;
    lb_eval *v = &e->eval;
    strncpy(v->protocol.id, protocol, sizeof v->protocol.id - 1);
    v->protocol.rule = rule, v->protocol.n = n;
    v->windows = windows, v->windows_all = rule == LB_RULE_LCPP ? windows : 148;
    v->scored = rule == LB_RULE_LCPP ? windows * (n / 2 - 1) : windows * (n - 1);
    v->window_nll = need(LB_NEW(r->arena, double, windows));
    for (int64_t w = 0; w < windows; w++) v->window_nll[w] = 3 + (double)(w % 5) / 8 + lift * (1 + (double)(w % 3) / 8);
    v->ppl = ppl, v->ppl_se = ppl / 32, v->mean_nll = 3.25 + lift;
    if (strcmp(c->method, "none") == 0) return;
    e->has_paired = true;
    e->paired = (lb_paired){lift, lift - 0.0625 * fabs(lift), lift + 0.0625 * fabs(lift), windows, 3};
    double apart = fabs(lift);
    v->has_kl = true, v->kl_mean = apart * 0.75, v->kl_median = apart / 2, v->kl_p99 = apart * 4;
    v->top1 = 1 / (1 + apart);
    v->window_kl = need(LB_NEW(r->arena, double, windows));
    v->window_agree = need(LB_NEW(r->arena, double, windows));
    for (int64_t w = 0; w < windows; w++) v->window_kl[w] = v->kl_mean, v->window_agree[w] = v->top1;
}

static lb_record *cell(lb_results *r, const char *method, int bits, int64_t group) {
    if (r->n == MOST) abort();
    lb_record *c = &r->record[r->n++];
    *c = (lb_record){.state = LB_CELL_DONE, .message = "", .method = copy(r, method), .bits = bits, .group = group};
    c->key = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    char *g = group > 0 ? lb_arena_printf(r->arena, " g%lld", (long long)group) : lb_arena_strdup(r->arena, " row");
    need(g);
    c->label = bits ? lb_arena_printf(r->arena, "%s %db%s", method, bits, g) : copy(r, method);
    c->stem =
        need(lb_arena_printf(r->arena, "%s-bits%d-group%lld-%02lld", method, bits, (long long)group, (long long)r->n));
    c->storage = bits ? need(lb_arena_printf(r->arena, "int%d%s asym", bits, g)) : "f32";
    need((void *)c->label);
    if (bits) option(r, c, "bits", need(lb_arena_printf(r->arena, "%d", bits)));
    if (bits && group > 0)
        option(r, c, "group", need(lb_arena_printf(r->arena, "%lld", (long long)group)));
    else if (bits)
        option(r, c, "group", "row");
    c->propagate = "", c->config = "model: tiny.gguf\nquantize:\n  - method: x_y\n";
    c->seconds = 12.5, c->peak_bytes = 64 << 20;
    pair(r, &c->provenance, "version", "0.1.0 (0123abcd)");
    pair(r, &c->provenance, "model", "tiny_model.gguf");
    pair(r, &c->provenance, "model SHA-256", "b179c952a1b6b3ef1d0e0d3f2c4b5a69788796a5b4c3d2e1f00112233445566f");
    pair(r, &c->provenance, "content_key",
         need(lb_arena_printf(r->arena, "%016llx%048x", (unsigned long long)r->n, 0)));
    pair(r, &c->host, "host", "node1");
    pair(r, &c->host, "threads", "2");
    return c;
}

/* The whole model, once its layers are known. */
static void sizes(lb_record *c) {
    int64_t weights = 0;
    for (int t = 0; t < TYPES; t++) weights += BLOCKS * type_rows[t] * type_cols[t];
    int64_t rest = 512 * 64 + 64 * (2 * BLOCKS + 1);
    c->size.original_fp16 = 2 * (weights + rest);
    c->size.original_as_stored = (weights + rest) * 5 / 8;
    c->size.other_as_fp16 = 2 * (weights - c->size.quantized.weights + rest);
    c->size.other_as_stored = 4 * (weights - c->size.quantized.weights + rest);
    c->size.total_as_fp16 = c->size.quantized.total + c->size.other_as_fp16;
    c->size.total_as_stored = c->size.quantized.total + c->size.other_as_stored;
}

static void cite(lb_results *r, lb_record *c, const char *key) {
    c->cite = need(LB_NEW(r->arena, char *, 1));
    c->cite[0] = copy(r, key), c->cites = 1;
}

static void warning(lb_results *r, lb_record *c, const char *text) {
    c->warning = need(LB_NEW(r->arena, char *, 1));
    c->warning[0] = copy(r, text), c->warnings = 1;
}

static void both_evaluations(lb_results *r, lb_record *c, double ppl, double lift) {
    evaluation(r, c, "wikitext-2", "W2-2048", LB_RULE_W2, 2048, 20, ppl, lift);
    evaluation(r, c, "tiny stories", "LCPP-256", LB_RULE_LCPP, 256, 12, ppl / 4, lift / 2);
}

static void curve(lb_results *r, lb_record *c, double end) {
    lb_curve *v = &c->curve;
    v->n = v->cap = 120;
    v->step = need(LB_NEW(r->arena, int64_t, v->n));
    double **column[] = {&v->total, &v->next_token, &v->kl, &v->lr, &v->grad_norm};
    for (size_t i = 0; i < 5; i++) *column[i] = need(LB_NEW(r->arena, double, v->n));
    for (int64_t i = 0; i < v->n; i++) {
        v->step[i] = i;
        v->next_token[i] = v->total[i] = end + 256 / (double)(64 + 4 * i) + (double)(i * 7 % 16 - 8) / 64;
        v->lr[i] = 0.0009765625, v->grad_norm[i] = 1;
    }
}

static lb_record *quantized(lb_results *r, const char *method, int bits, int64_t group, double gain, double ppl,
                            double lift) {
    lb_record *c = cell(r, method, bits, group);
    bool hessian = strcmp(method, "rtn") != 0 && strcmp(method, "nf4") != 0;
    if (hessian) c->propagate = "quantized";
    if (hessian) pair(r, &c->provenance, "calibration_recipe", "sequential");
    if (hessian) pair(r, &c->provenance, "calibration", bits == 2 ? "c4_a" : "wiki");
    if (group == 48) c->flags |= LB_FLAG_RAGGED_GROUP;
    if (strcmp(method, "qat") == 0) c->flags |= LB_FLAG_NOT_MINIMIZED;
    if (strcmp(method, "gptq") == 0) c->flags |= LB_FLAG_DEAD_COLUMNS;
    layers(r, c, gain, hessian);
    sizes(c);
    both_evaluations(r, c, ppl, lift);
    return c;
}

static void baseline(lb_results *r) {
    lb_record *c = cell(r, "none", 0, 0);
    sizes(c);
    both_evaluations(r, c, 20.96875, 0);
}

static void gptq_seeds(lb_results *r, int bits, double ppl, double lift) {
    for (int s = 0; s < 3; s++) {
        lb_record *c = quantized(r, "gptq", bits, 64, 0.25 + 0.03125 * s, ppl + 0.5 * s, lift + 0.015625 * s);
        option(r, c, "act_order", "true");
        char seed[2] = {(char)('0' + s), 0};
        pair(r, &c->varied, "seed", seed);
        c->seed = (uint64_t)s;
        cite(r, c, "frantar2023gptq");
    }
}

static void sweep(lb_results *r) {
    static const double rtn_ppl[] = {815.25, 70.125, 28.25}, rtn_lift[] = {3.75, 1.25, 0.3125};
    static const double gptq_ppl[] = {166.5, 51.5625, 25.125}, gptq_lift[] = {2.125, 0.875, 0.1875};
    baseline(r);
    for (int b = 2; b <= 4; b++) {
        lb_record *c = quantized(r, "rtn", b, 64, 1, rtn_ppl[b - 2], rtn_lift[b - 2]);
        cite(r, c, "jacob2018quantization");
        c = quantized(r, "rtn", b, 48, 1.125, rtn_ppl[b - 2] * 1.25, rtn_lift[b - 2] + 0.25);
        cite(r, c, "jacob2018quantization");
        warning(r, c, "text has CRLF line ends: 12,345 lines");
    }
    for (int b = 2; b <= 4; b++) gptq_seeds(r, b, gptq_ppl[b - 2], gptq_lift[b - 2]);
    cite(r, quantized(r, "nf4", 4, 64, 0.75, 26.5, 0.25), "dettmers2023qlora");
    lb_record *c = cell(r, "nf4", 3, 64);
    c->state = LB_CELL_REFUSED, c->message = "bits = 3: nf4 has 4 bits (method nf4)";
    c = cell(r, "gptq", 2, 0);
    c->state = LB_CELL_FAILED;
    c->message = "layer 4.down: Cholesky failed at column 41 (pivot -3.1e-09, damp 0.01): use more samples";
    for (int b = 2; b <= 3; b++) {
        c = quantized(r, "qat", b, 0, 2, b == 2 ? 24.5 : 21.625, b == 2 ? 0.15625 : 0.03125);
        curve(r, c, b == 2 ? 2.25 : 2);
        cite(r, c, "bengio2013estimating");
    }
    c = cell(r, "finetune", 0, 0);
    sizes(c);
    both_evaluations(r, c, 20.5, -0.03125);
    curve(r, c, 1.75);
}

static void many(lb_results *r) {
    baseline(r);
    for (int b = 2; b <= 5; b++)
        for (int i = 0; i < 16; i++) {
            static const char *const name[] = {"rtn", "gptq", "nf4", "qat"};
            lb_record *c = quantized(r, name[i % 4], b, 32 << (i / 4), 1 / (1 + 0.25 * i),
                                     22 + halved(4096 + 512 * i, 2 * b), halved(8 + i, b));
            c->flags &= ~(uint32_t)LB_FLAG_RAGGED_GROUP;
            if (i % 4 == 3) curve(r, c, 2 + 0.0625 * i);
        }
}

lb_results *synthetic_results_new(synthetic_kind kind, const char *dir) {
    lb_arena *a;
    if (lb_arena_new(0, &a) != LB_OK) abort();
    lb_results *r = need(LB_NEW(a, lb_results, 1));
    r->arena = a;
    r->dir = copy(r, dir);
    r->name = "synthetic", r->model_name = "tiny_model";
    r->model_note = "baseline is itself a dequantized 4-bit model (Q4_1)";
    r->record = need(LB_NEW(a, lb_record, MOST));
    lb_record *c;
    switch (kind) {
    case SYNTHETIC_SWEEP:
        sweep(r);
        break;
    case SYNTHETIC_SINGLE:
        baseline(r);
        quantized(r, "rtn", 4, 64, 1, 28.25, 0.3125);
        break;
    case SYNTHETIC_CLOSE:
        baseline(r);
        quantized(r, "rtn", 8, 64, 1, 20.96925, halved(1, 14));
        quantized(r, "gptq", 8, 64, 1, 20.969, halved(1, 16));
        break;
    case SYNTHETIC_HUGE:
        baseline(r);
        for (int b = 2; b <= 4; b++)
            quantized(r, "rtn", b, 64, 1, b == 2 ? 412345.5 : b == 3 ? 5123.25 : 88, 9.875 / b);
        c = quantized(r, "gptq", 2, 64, 1, INFINITY, 800);
        for (int64_t i = 0; i < c->layers; i++)
            c->layer[i].own.output_err = c->layer[i].original.output_err = c->layer[i].rtn_own.output_err = NAN;
        break;
    case SYNTHETIC_MANY:
        many(r);
        break;
    case SYNTHETIC_ABSENT:
        c = cell(r, "none", 0, 0);
        c->state = LB_CELL_FAILED, c->message = "tiny.gguf: no such file";
        break;
    }
    return r;
}

void synthetic_results_costs(lb_results *r) {
    static const char *stage[] = {"statistics", "quantize", "evaluate"};
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        int64_t from = c->bits ? 0 : 2; /* the baseline is evaluated alone */
        c->stage_s = need(LB_NEW(r->arena, double, 3));
        c->stage = stage + from, c->stages = 3 - from;
        c->stage_s[0] = 0.5, c->stage_s[1] = 2 + (double)i, c->stage_s[2] = 4;
        c->seconds = (c->bits ? 6.5 + (double)i : 0.5) + 0.25;
        c->peak_bytes = (64 + i) << 20;
    }
}

void synthetic_results_paired(lb_results *r) {
    for (int64_t i = 1; i < r->n; i++)
        for (int64_t e = 0; e < r->record[i].evals; e++) {
            lb_eval_row *x = &r->record[i].eval[e];
            double sum = 0;
            for (int64_t w = 0; w < x->eval.windows; w++)
                sum += x->eval.window_nll[w] - r->record[0].eval[e].eval.window_nll[w];
            x->paired.delta = sum / (double)x->eval.windows;
        }
}

/* A cell once more with one thing of its calibration another, which costs it `lift` nats more on the second evaluation.
 */
static void calibrated_otherwise(lb_results *r, const lb_record *c, const char *key, const char *value,
                                 const char *config, double lift) {
    if (r->n == MOST) abort();
    lb_record *d = &r->record[r->n++];
    *d = *c;
    d->provenance.at = need(LB_NEW(r->arena, lb_pair, c->provenance.n));
    d->eval = need(LB_NEW(r->arena, lb_eval_row, c->evals));
    d->config = need(lb_arena_printf(r->arena, "model: tiny.gguf\ncalibration:\n  %s: %s\n", config, value));
    memcpy(d->eval, c->eval, (size_t)c->evals * sizeof *d->eval);
    for (int64_t i = 0; i < c->provenance.n; i++) {
        d->provenance.at[i] = c->provenance.at[i];
        if (strcmp(c->provenance.at[i].key, key) == 0) d->provenance.at[i].value = value;
    }
    double *nll = need(LB_NEW(r->arena, double, d->eval[1].eval.windows));
    for (int64_t w = 0; w < d->eval[1].eval.windows; w++) nll[w] = c->eval[1].eval.window_nll[w] + lift;
    d->eval[1].eval.window_nll = nll;
    d->eval[1].paired.delta += lift;
}

lb_results *synthetic_results_two_texts(const char *second, const char *dir) {
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    int64_t n = r->n;
    synthetic_results_paired(r);
    for (int64_t i = 0; i < n; i++)
        if (r->record[i].state == LB_CELL_DONE && strcmp(r->record[i].method, "gptq") == 0)
            calibrated_otherwise(r, &r->record[i], "calibration", second, "text", 0.25);
    return r;
}

lb_results *synthetic_results_samples(const char *dir) {
    static const struct {
        const char *samples;
        double lift;
    } fewer[] = {{"4", 0.5}, {"16", 0.03125}, {"32", 0.0}};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    int64_t n = r->n;
    synthetic_results_paired(r);
    for (int64_t i = 0; i < n; i++) {
        lb_record *c = &r->record[i];
        if (c->state != LB_CELL_DONE || strcmp(c->method, "gptq") != 0) continue;
        pair(r, &c->provenance, "calibration_samples", "128");
        for (size_t k = 0; k < sizeof fewer / sizeof fewer[0]; k++) {
            calibrated_otherwise(r, c, "calibration_samples", fewer[k].samples, "samples", fewer[k].lift);
            pair(r, &r->record[r->n - 1].varied, "samples", fewer[k].samples);
        }
        pair(r, &c->varied, "samples", "128");
    }
    return r;
}

void synthetic_results_labels(lb_results *r) {
    for (int64_t i = 0; i < r->n; i++) {
        const char *seed = lb_pairs_get(&r->record[i].varied, "seed");
        if (seed) r->record[i].label = need(lb_arena_printf(r->arena, "%s s%s", r->record[i].label, seed));
    }
}

void synthetic_results_free(lb_results *r) {
    if (r) lb_arena_free(r->arena);
}
