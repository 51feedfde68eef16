/* Quantization-aware training, end to end: every step rounds the weights to their grid, runs forward and backward with
 * the rounded ones, and moves the unrounded (latent) ones by the gradient, which the rounding lets straight through.
 * AdamW (Loshchilov & Hutter 2019), warm-up and cosine, clipping by the norm over all that trains.
 * source  Jacob et al. 2018 (arXiv:1712.05877) section 3; straight through: Bengio et al. 2013 (arXiv:1308.3432);
 *         learned scales: Esser et al. 2020 (arXiv:1902.08153)
 * `finetune` is its control: the same steps, data and seed without the rounding. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/adamw.h"
#include "math/kernels.h"
#include "quant/fakequant.h"
#include "quant/method.h"

enum { TRAIN_LINEARS, TRAIN_ALL };
enum { PIECE = 1 << 14 }; /* weights of a piece of work, about */

typedef struct qat_opts {
    int64_t bits, group, steps, batch, length, warmup, act_bits;
    bool symmetric, act_symmetric;
    int scale_type, range, train;
    double lr, lr_floor, weight_decay, beta1, beta2, clip, kl_weight;
} qat_opts;

static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const char *const ranges[] = {"minmax", "lsq", NULL};
static const char *const trained[] = {"linears", "all", NULL};

#define AT(field) offsetof(qat_opts, field)
#define TRAINING                                                                                                       \
    {"steps", LB_OPT_INT, "400", 1, 1e9, NULL, "optimizer steps", AT(steps)},                                          \
        {"batch", LB_OPT_INT, "8", 1, 65536, NULL, "sequences a step", AT(batch)},                                     \
        {"length", LB_OPT_INT, "256", 2, 1e6, NULL, "tokens a sequence", AT(length)},                                  \
        {"lr", LB_OPT_FLOAT, "5e-4", 0, 1, NULL, "highest learning rate", AT(lr)},                                     \
        {"warmup", LB_OPT_INT, "20", 0, 1e9, NULL, "steps of linear warm-up", AT(warmup)},                             \
        {"lr_floor", LB_OPT_FLOAT, "0", 0, 1, NULL, "fraction of lr that the cosine ends at", AT(lr_floor)},           \
        {"weight_decay",  LB_OPT_FLOAT, "0", 0, 1, NULL, "AdamW's, decoupled; norms and scales have none",             \
         AT(weight_decay)},                                                                                            \
        {"beta1", LB_OPT_FLOAT, "0.9", 0, 0.999999, NULL, "AdamW: decay of the mean gradient", AT(beta1)},             \
        {"beta2", LB_OPT_FLOAT, "0.999", 0, 0.999999, NULL, "AdamW: decay of the mean square", AT(beta2)},             \
        {"clip",  LB_OPT_FLOAT, "1", 0, 1e9, NULL, "largest gradient norm, over all that trains; 0: no clipping",      \
         AT(clip)},                                                                                                    \
        {"kl_weight",                                                                                                  \
         LB_OPT_FLOAT,                                                                                                 \
         "0",                                                                                                          \
         0,                                                                                                            \
         1,                                                                                                            \
         NULL,                                                                                                         \
         "loss = (1 - kl_weight) next-token cross entropy + kl_weight KL(unquantized model || this one)",              \
         AT(kl_weight)},                                                                                               \
    {                                                                                                                  \
        "train", LB_OPT_CHOICE, "all", 0, 0, trained,                                                                  \
            "which tensors train: linear layers, or norms and embeddings too", AT(train)                               \
    }

static const lb_option qat_table[] = {
    {"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits a weight", AT(bits)},
    {"group", LB_OPT_GROUP, "row", 8, 65536, NULL, "columns that share a scale; the last group of a row may be shorter",
     AT(group)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "range symmetric about 0: no zeros are stored", AT(symmetric)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored; rounded before codes are computed",
     AT(scale_type)},
    {"range", LB_OPT_CHOICE, "minmax", 0, 0, ranges,
     "minmax: the range of the weights at every step; lsq: scales are learned, zeros kept", AT(range)},
    {"act_bits", LB_OPT_INT, "0", 0, 8, NULL,
     "bits of the quantized layers' inputs, one dynamic range a token; 0: not quantized", AT(act_bits)},
    {"act_symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "activation ranges symmetric about 0", AT(act_symmetric)},
    TRAINING,
};
static const lb_option finetune_table[] = {TRAINING};
/* What a rule may set for a layer of its own; the rest is of the whole training. */
static const char *const per_layer[] = {"bits", "group", "symmetric", "scale_type", "range", NULL};

static lb_status finetune_check(const void *opts) {
    const qat_opts *o = opts;
    if (o->warmup >= o->steps)
        return lb_fail(LB_E_UNSUPPORTED, "warmup = %lld: must be below steps (%lld)", (long long)o->warmup,
                       (long long)o->steps);
    return LB_OK;
}

static lb_status qat_check(const void *opts) {
    const qat_opts *o = opts;
    if (o->act_bits == 1) return lb_fail(LB_E_UNSUPPORTED, "act_bits = 1: must be 0 or in [2, 8]");
    if (o->act_symmetric && o->act_bits == 0)
        return lb_fail(LB_E_UNSUPPORTED, "act_symmetric does not apply: act_bits is 0");
    return finetune_check(opts);
}

static lb_status qat_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const qat_opts *o = opts;
    *out = (lb_storage){.format = &lb_uniform,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type,
                        .act = {.bits = (int)o->act_bits, .symmetric = o->act_symmetric}};
    return LB_OK;
}

/* Counted as 16 bits a weight, like the baseline. */
static lb_status finetune_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_f16, .bits = 16};
    return LB_OK;
}

/* One tensor that trains. */
typedef struct tensor {
    lb_param *p;
    int64_t n;          /* rows * cols */
    lb_fakequant *q;    /* NULL: not rounded */
    float *latent;      /* (rows, cols) what the optimizer moves; p->w itself if not rounded */
    float *m, *v;       /* (rows, cols) AdamW's */
    float *um, *uv;     /* (scales) the same of learned scales */
    lb_adamw optimizer; /* the step's */
} tensor;

/* Rows of one tensor: what a thread does at a time. */
typedef struct piece {
    int64_t tensor, r0, rows;
} piece;

typedef struct training {
    const qat_opts *o;
    lb_trainer *t;
    tensor *x;
    int64_t tensors;
    piece *piece;
    int64_t pieces;
    double *part; /* (pieces) sums of squares of gradients */
    int64_t step; /* from 1, as AdamW counts */
    float shrink; /* what clipping multiplies gradients by */
} training;

/* A matrix that the rules quantize trains in any case, and so it does in the control. */
static bool trains(const qat_opts *o, const lb_param *p) {
    return o->train == TRAIN_ALL || p->kind == LB_PARAM_LINEAR || p->quantize;
}

static lb_status add_tensor(training *s, lb_param *p, bool rounds) {
    lb_arena *a = s->t->arena;
    tensor *x = &s->x[s->tensors++];
    *x = (tensor){.p = p, .n = p->rows * p->cols, .latent = p->w};
    p->wanted = true;
    if (!(x->m = LB_NEW(a, float, x->n)) || !(x->v = LB_NEW(a, float, x->n))) return LB_E_NOMEM;
    const qat_opts *own = p->layer_opts ? p->layer_opts : s->o;
    if (!rounds) return LB_OK;
    lb_storage storage;
    LB_TRY(qat_spec(own, p->rows, p->cols, &storage));
    if (!(x->q = LB_NEW(a, lb_fakequant, 1)) || !(x->latent = LB_NEW(a, float, x->n))) return LB_E_NOMEM;
    memcpy(x->latent, p->w0, (size_t)x->n * sizeof *x->latent);
    lb_status st = lb_fakequant_new(a, &storage, own->range ? LB_RANGE_LEARNED : LB_RANGE_MINMAX,
                                    lb_cmat_of(p->w0, p->rows, p->cols), x->q);
    if (st != LB_OK) return lb_fail_in(st, "layer %s", p->name);
    if (x->q->range != LB_RANGE_LEARNED) return LB_OK;
    return (x->um = LB_NEW(a, float, x->q->scales)) && (x->uv = LB_NEW(a, float, x->q->scales)) ? LB_OK : LB_E_NOMEM;
}

static int64_t rows_of_piece(const tensor *x) {
    int64_t rows = PIECE / x->p->cols;
    return rows < 1 ? 1 : rows;
}

static lb_status start(training *s, bool rounds) {
    lb_trainer *t = s->t;
    if (s->o->length > t->context)
        return lb_fail(LB_E_CONFIG, "length = %lld: the model's context is %lld tokens", (long long)s->o->length,
                       (long long)t->context);
    if (!(s->x = LB_NEW(t->arena, tensor, t->n_params))) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->n_params; i++) {
        lb_param *p = &t->params[i];
        p->wanted = false;
        if (trains(s->o, p)) LB_TRY(add_tensor(s, p, rounds && p->quantize));
    }
    for (int64_t i = 0; i < s->tensors; i++) s->pieces += (s->x[i].p->rows - 1) / rows_of_piece(&s->x[i]) + 1;
    if (!(s->piece = LB_NEW(t->arena, piece, s->pieces)) || !(s->part = LB_NEW(t->arena, double, s->pieces)))
        return LB_E_NOMEM;
    piece *k = s->piece;
    for (int64_t i = 0; i < s->tensors; i++) {
        int64_t rows = s->x[i].p->rows, each = rows_of_piece(&s->x[i]);
        for (int64_t r = 0; r < rows; r += each) *k++ = (piece){i, r, r + each < rows ? each : rows - r};
    }
    return LB_OK;
}

static lb_status round_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const training *s = ctx;
    const piece *k = &s->piece[i];
    const tensor *x = &s->x[k->tensor];
    if (!x->q) return LB_OK;
    lb_status st = lb_fakequant_rows(x->q, x->latent, k->r0, k->rows, x->p->w);
    return st == LB_OK ? st : lb_fail_in(st, "layer %s", x->p->name);
}

/* Ŵ of every rounded tensor from its latent weights. */
static lb_status round_all(training *s) {
    bool any = false;
    for (int64_t i = 0; i < s->tensors; i++) {
        if (!s->x[i].q) continue;
        any = true;
        lb_status st = lb_fakequant_begin(s->x[i].q, s->x[i].latent);
        if (st != LB_OK) return lb_fail_in(st, "layer %s", s->x[i].p->name);
    }
    return any ? lb_parallel_for(s->t->team, s->pieces, round_piece, s) : LB_OK;
}

static lb_status gradient_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const training *s = ctx;
    const piece *k = &s->piece[i];
    const tensor *x = &s->x[k->tensor];
    if (x->um) lb_fakequant_grad_rows(x->q, x->latent, k->r0, k->rows, x->p->grad);
    const float *g = x->p->grad + k->r0 * x->p->cols;
    s->part[i] = lb_kernels_active()->dot(g, g, k->rows * x->p->cols);
    return LB_OK;
}

static lb_status gradient_norm(training *s, double *norm) {
    LB_TRY(lb_parallel_for(s->t->team, s->pieces, gradient_piece, s));
    double sum = 0;
    for (int64_t i = 0; i < s->pieces; i++) sum += s->part[i];
    for (int64_t i = 0; i < s->tensors; i++) {
        if (!s->x[i].um) continue;
        lb_fakequant_grad_end(s->x[i].q);
        sum += lb_kernels_active()->dot(s->x[i].q->du, s->x[i].q->du, s->x[i].q->scales);
    }
    *norm = sqrt(sum);
    return LB_OK;
}

static lb_status update_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const training *s = ctx;
    const piece *k = &s->piece[i];
    const tensor *x = &s->x[k->tensor];
    int64_t at = k->r0 * x->p->cols, n = k->rows * x->p->cols;
    if (s->shrink != 1.0f) lb_kernels_active()->scale(x->p->grad + at, s->shrink, n);
    lb_adamw_step(&x->optimizer, s->step, x->latent + at, x->p->grad + at, x->m + at, x->v + at, n);
    return LB_OK;
}

static lb_status update(training *s, double rate) {
    const qat_opts *o = s->o;
    for (int64_t i = 0; i < s->tensors; i++) {
        tensor *x = &s->x[i];
        x->optimizer = (lb_adamw){rate, o->beta1, o->beta2, 1e-8, x->p->kind == LB_PARAM_NORM ? 0 : o->weight_decay};
        if (!x->um) continue;
        lb_adamw bare = x->optimizer;
        bare.weight_decay = 0;
        lb_kernels_active()->scale(x->q->du, s->shrink, x->q->scales);
        lb_adamw_step(&bare, s->step, x->q->u, x->q->du, x->um, x->uv, x->q->scales);
    }
    return lb_parallel_for(s->t->team, s->pieces, update_piece, s);
}

static lb_status one_step(training *s, const char *stage, int64_t step) {
    const qat_opts *o = s->o;
    lb_train_request r = {.step = step,
                          .batch = o->batch,
                          .length = o->length,
                          .kl_weight = o->kl_weight,
                          .act = {.bits = (int)o->act_bits, .symmetric = o->act_symmetric}};
    lb_train_loss loss;
    double norm, rate = lb_lr_cosine(o->lr, step, o->warmup, o->steps, o->lr_floor);
    LB_TRY(round_all(s));
    LB_TRY(s->t->gradients(s->t, &r, &loss));
    LB_TRY(gradient_norm(s, &norm));
    if (!isfinite(loss.total) || !isfinite(norm))
        return lb_fail(LB_E_NUMERIC, "diverged: loss %g, gradient norm %g; use a smaller lr (now %g)", loss.total, norm,
                       rate);
    s->step = step + 1;
    s->shrink = o->clip > 0 && norm > o->clip ? (float)(o->clip / (norm + 1e-6)) : 1.0f; /* as torch clips */
    LB_TRY(update(s, rate));
    LB_TRY(s->t->record(s->t, step, &loss, rate, norm));
    char detail[64];
    snprintf(detail, sizeof detail, "loss %.4f", loss.total);
    lb_log_step(s->t->log, stage, detail, step + 1, o->steps);
    return LB_OK;
}

/* One result: codes of a rounded layer, or a changed tensor. */
static lb_status give(const training *s, tensor *x, lb_model_out *out) {
    int64_t i = x->p - s->t->params;
    lb_layer *c = &out->layer[i];
    if (!x->q) {
        out->changed[i] = x->latent;
        return LB_OK;
    }
    LB_TRY(lb_fakequant_codes(s->t->arena, x->q, x->latent, c));
    c->flags |= LB_FLAG_NOT_MINIMIZED;
    return LB_OK;
}

static lb_status train(lb_trainer *t, const qat_opts *o, bool rounds, const char *stage, lb_model_out *out) {
    training s = {.o = o, .t = t};
    LB_TRY(start(&s, rounds));
    for (int64_t step = 0; step < o->steps; step++) {
        lb_status st = one_step(&s, stage, step);
        if (st != LB_OK) return lb_fail_in(st, "step %lld of %lld", (long long)step + 1, (long long)o->steps);
    }
    LB_TRY(round_all(&s));
    out->layer = LB_NEW(t->arena, lb_layer, t->n_params);
    out->changed = LB_NEW(t->arena, float *, t->n_params);
    if (!out->layer || !out->changed) return LB_E_NOMEM;
    for (int64_t i = 0; i < s.tensors; i++) LB_TRY(give(&s, &s.x[i], out));
    return LB_OK;
}

/* Gradients, both moments, latent weights and those in use; the original model's logits where they are asked for. */
static void training_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const qat_opts *o = opts;
    out->at_once = (double)o->batch * (double)o->length;
    out->length = (double)o->length;
    out->backward = (double)o->steps * out->at_once;
    out->forward = out->backward * (o->kl_weight > 0 ? 2 : 1);
    out->steps = (double)o->steps * (2 * of->weights + 4 * of->rounded);
    out->scratch = 4 * sizeof(float) * of->weights + sizeof(float) * of->rounded;
}

static lb_status qat_model(lb_trainer *t, const void *opts, lb_model_out *out) {
    LB_TRY(qat_check(opts));
    return train(t, opts, true, "qat", out);
}

static lb_status finetune_model(lb_trainer *t, const void *opts, lb_model_out *out) {
    LB_TRY(finetune_check(opts));
    return train(t, opts, false, "finetune", out);
}

const lb_method lb_qat_method = {
    .api = LB_METHOD_API,
    .name = "qat",
    .summary = "quantization-aware training of the whole model, straight through or with learned scales",
    .cite = "esser2020lsq",
    .needs = LB_NEEDS_TRAINER,
    .options = {qat_table, sizeof qat_table / sizeof qat_table[0], sizeof(qat_opts)},
    .per_layer = per_layer,
    .check = qat_check,
    .spec = qat_spec,
    .model = qat_model,
    .cost = training_cost,
};
const lb_method lb_finetune_method = {
    .api = LB_METHOD_API,
    .name = "finetune",
    .summary = "the control of qat: the same training without a quantizer",
    .cite = "loshchilov2019adamw",
    .needs = LB_NEEDS_TRAINER | LB_TRAINS_FLOATS,
    .options = {finetune_table, sizeof finetune_table / sizeof finetune_table[0], sizeof(qat_opts)},
    .per_layer = per_layer,
    .check = finetune_check,
    .spec = finetune_spec,
    .model = finetune_model,
    .cost = training_cost,
};
