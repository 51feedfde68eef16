#include "support/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/block.h"
#include "support/support.h"

probe_log probe;

void probe_reset(void) {
    for (int64_t i = 0; i < probe.calls; i++) {
        free(probe.call[i].H);
        free(probe.call[i].W);
        free(probe.call[i].What);
    }
    for (int b = 0; b < PROBE_BLOCKS; b++) free(probe.passed[b]);
    probe = (probe_log){0};
}

const probe_call *probe_find(const char *name) {
    for (int64_t i = 0; i < probe.calls; i++)
        if (strcmp(probe.call[i].name, name) == 0) return &probe.call[i];
    return NULL;
}

static const lb_option table[] = {
    {"bits", LB_OPT_INT, "3", 2, 8, NULL, "bits a weight", offsetof(probe_opts, bits)},
    {"group", LB_OPT_GROUP, "row", 4, 64, NULL, "columns that share a scale", offsetof(probe_opts, group)},
    {"act", LB_OPT_INT, "0", 0, 8, NULL, "bits of the activation quantizer; 0: none", offsetof(probe_opts, act)},
    {"act_symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "of the activation quantizer",
     offsetof(probe_opts, act_symmetric)},
};

static lb_status spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const probe_opts *o = opts;
    *out = (lb_storage){.format = &lb_uniform,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .act = {.bits = (int)o->act, .symmetric = o->act_symmetric}};
    return LB_OK;
}

/* One group of a row: a range that holds 0, codes rounded down. */
static void round_down(lb_cmat W, int64_t r, int64_t from, int64_t end, const lb_storage *s, lb_layer *c, int64_t at,
                       float *What) {
    const float *w = W.d + r * W.ld;
    float low = 0, high = 0, top = (float)((1 << s->bits) - 1);
    for (int64_t i = from; i < end; i++) low = fminf(low, w[i]), high = fmaxf(high, w[i]);
    float scale = (high > low ? (high - low) / top : 1) * (1 + probe.off), zero = rintf(-low / scale);
    zero = fminf(zero, top);
    c->scale[at] = scale;
    c->zero[at] = zero;
    for (int64_t i = from; i < end; i++) {
        float code = fminf(fmaxf(floorf(w[i] / scale) + zero, 0), top);
        c->codes[r * W.cols + i] = (uint8_t)code;
        What[r * W.cols + i] = scale * (code - zero);
    }
}

static lb_status quantize(lb_arena *a, const char *name, lb_cmat W, const probe_opts *o, float *What, lb_layer *out) {
    lb_storage s;
    LB_TRY(spec(o, W.rows, W.cols, &s));
    if (probe.lie_at && strcmp(name, probe.lie_at) == 0) s.group = (s.group ? s.group : W.cols) / 2;
    LB_TRY(lb_layer_new(a, &s, W.rows, W.cols, false, out));
    int64_t group = s.group ? s.group : W.cols, at = 0;
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t i = 0; i < W.cols; i += group)
            round_down(W, r, i, i + group < W.cols ? i + group : W.cols, &s, out, at++, What);
    lb_tell(&out->told, 0, probe.damp);
    for (int i = 0; i < 8; i++)
        if (probe.flagged[i].layer && strcmp(name, probe.flagged[i].layer) == 0) out->flags |= probe.flagged[i].flags;
    if (out->flags & LB_FLAG_DEAD_COLUMNS) lb_tell(&out->told, 1, (double)probe.dead_columns);
    return LB_OK;
}

static void *copy_of(const void *p, int64_t n, size_t size) {
    void *to = malloc((size_t)n * size);
    assert_non_null(to);
    return memcpy(to, p, (size_t)n * size);
}

/* The next call, remembered. */
static probe_call *remember(const char *name, lb_cmat W, const probe_opts *o) {
    assert_in_range(probe.calls, 0, PROBE_CALLS - 1);
    assert_int_equal(W.ld, W.cols);
    probe_call *c = &probe.call[probe.calls++];
    *c = (probe_call){.rows = W.rows, .cols = W.cols, .opts = *o};
    snprintf(c->name, sizeof c->name, "%s", name);
    c->W = copy_of(W.d, W.rows * W.cols, sizeof *c->W);
    c->What = copy_of(W.d, W.rows * W.cols, sizeof *c->What);
    return c;
}

static lb_status layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    if (probe.fail_at && strcmp(in->name, probe.fail_at) == 0) return lb_fail(LB_E_INTERRUPTED, "stopped by the test");
    probe_call *c = remember(in->name, in->W, opts);
    c->seed = in->seed;
    if (in->stats) {
        assert_true(in->stats->H.rows == in->W.cols && in->stats->H.cols == in->W.cols);
        assert_int_equal(in->stats->H.ld, in->W.cols);
        c->H = copy_of(in->stats->H.d, in->W.cols * in->W.cols, sizeof *c->H);
        c->tokens = in->stats->tokens;
        c->sequences = in->stats->sequences;
    }
    return quantize(in->arena, in->name, in->W, opts, c->What, out);
}

/* A sequence through the block with these matrices, whole and section by section. */
static lb_status pass(const lb_block_in *in, const lb_cmat *What) {
    int64_t n = in->length * in->dim;
    float *d = LB_NEW(in->scratch, float, 2 * n);
    if (!d) return LB_E_NOMEM;
    lb_mat whole = lb_mat_of(d, in->length, in->dim), last = lb_mat_of(d + n, in->length, in->dim);
    LB_TRY(in->forward(in, in->sections - 1, 1, NULL, last));
    LB_TRY(in->forward(in, -1, 1, NULL, whole));
    assert_memory_equal(whole.d, last.d, (size_t)n * sizeof *d);
    LB_TRY(in->forward(in, -1, 1, What, whole));
    free(probe.passed[in->block]);
    probe.passed[in->block] = copy_of(whole.d, n, sizeof *d);
    return LB_OK;
}

static lb_status block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    (void)opts;
    lb_cmat *What = LB_NEW(in->scratch, lb_cmat, in->sites);
    if (!What) return LB_E_NOMEM;
    for (int32_t i = 0; i < in->sites; i++) {
        const lb_block_site *s = &in->site[i];
        const lb_stats *stats = in->input[s->input].stats;
        if (!s->quantize) continue;
        if (probe.fail_at && strcmp(s->name, probe.fail_at) == 0)
            return lb_fail(LB_E_INTERRUPTED, "stopped by the test");
        probe_call *c = remember(s->name, s->W, s->opts);
        c->seed = s->seed;
        c->H = copy_of(stats->H.d, s->W.cols * s->W.cols, sizeof *c->H);
        c->tokens = stats->tokens;
        c->sequences = stats->sequences;
        LB_TRY(quantize(in->arena, s->name, s->W, s->opts, c->What, &out->layer[i]));
        What[i] = lb_cmat_of(c->What, s->W.rows, s->W.cols);
    }
    return pass(in, What);
}

static bool has_head(const lb_trainer *t) {
    for (int64_t i = 0; i < t->n_params; i++)
        if (t->params[i].kind == LB_PARAM_HEAD) return true;
    return false;
}

static lb_status model(lb_trainer *t, const void *opts, lb_model_out *out) {
    (void)opts;
    out->layer = LB_NEW(t->arena, lb_layer, t->n_params);
    out->changed = LB_NEW(t->arena, float *, t->n_params);
    if (!out->layer || !out->changed) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->n_params; i++) {
        const lb_param *p = &t->params[i];
        if (!p->quantize) continue;
        /* A tied matrix is the head of the plan. */
        const char *name = strcmp(p->name, "embed") == 0 && !has_head(t) ? "head" : p->name;
        probe_call *c = remember(name, lb_cmat_of(p->w0, p->rows, p->cols), p->layer_opts);
        c->seed = t->seed;
        LB_TRY(quantize(t->arena, name, lb_cmat_of(p->w0, p->rows, p->cols), p->layer_opts, c->What, &out->layer[i]));
    }
    return LB_OK;
}

#define OPTIONS                                                                                                        \
    { table, sizeof table / sizeof table[0], sizeof(probe_opts) }

static const lb_diagnostic told[] = {
    {"damp", "", "a damping", 0, 1},
    {"dead_columns", "columns", "dead columns", 0, 65536},
};
#define TOLD                                                                                                           \
    { told, sizeof told / sizeof told[0] }

const lb_method probe_method = {.api = LB_METHOD_API,
                                .name = "probe",
                                .summary = "remembers what it is given",
                                .needs = LB_NEEDS_HESSIAN | LB_NEEDS_SEED,
                                .options = OPTIONS,
                                .diagnostics = TOLD,
                                .spec = spec,
                                .layer = layer};
const lb_method probe_blind_method = {.api = LB_METHOD_API,
                                      .name = "blind",
                                      .summary = "the same without statistics",
                                      .options = OPTIONS,
                                      .diagnostics = TOLD,
                                      .spec = spec,
                                      .layer = layer};
const lb_method probe_block_method = {.api = LB_METHOD_API,
                                      .name = "together",
                                      .summary = "the same, a block at a time",
                                      .needs = LB_NEEDS_HESSIAN | LB_NEEDS_SEED | LB_NEEDS_FORWARD,
                                      .options = OPTIONS,
                                      .diagnostics = TOLD,
                                      .spec = spec,
                                      .block = block};
const lb_method probe_model_method = {.api = LB_METHOD_API,
                                      .name = "whole",
                                      .summary = "the same, all layers at once",
                                      .needs = LB_NEEDS_TRAINER,
                                      .options = OPTIONS,
                                      .diagnostics = TOLD,
                                      .spec = spec,
                                      .model = model};
