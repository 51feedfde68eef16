/* SignRound, the method of AutoRound: rounding and clipping of a block's weights learned by signed gradient descent on
 * the block's output.
 * source  Cheng et al. 2023 (arXiv:2309.05516) and its authors' code. Of each weight w of a group with scale s and zero
 *         point z, the code is clip(round(w / s + V) + z, 0, 2^b - 1) with V in [-0.5, 0.5] (eq. 3); the range is
 *         [beta min w, alpha max w], alpha and beta in [0, 1] (eq. 4). The loss is |block(x; W) - block(x; What)|^2 on
 *         a batch of calibration sequences (eq. 5); round has the slope 1 (Bengio et al. 2013, arXiv:1308.3432), and
 *         V, alpha, beta go by the sign of their gradients (eq. 6), the rate falling linearly from lr to 0. Kept are
 *         the parameters of the step with the least loss.
 * Choice  x is the calibration stream as the blocks before left it, for both outputs. A batch is drawn anew at each
 *         step, so the least loss is over different batches unless a batch holds all sequences. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "quant/block.h"

enum { KEEP_BEST, KEEP_LAST };
enum { PIECE = 1 << 14 }; /* weights of a piece of work, about */
static const float most_offset = 0.5f;

typedef struct autoround_opts {
    int64_t bits, group, iters, batch;
    bool symmetric, clip;
    int scale_type, keep;
    double lr, clip_lr;
} autoround_opts;

static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const char *const kept[] = {"best", "last", NULL};

#define AT(field) offsetof(autoround_opts, field)
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits a weight", AT(bits)},
    {"group", LB_OPT_GROUP, "row", 8, 65536, NULL, "columns that share a scale; the last group of a row may be shorter",
     AT(group)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "range symmetric about 0: no zeros are stored", AT(symmetric)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored; rounded before codes are computed",
     AT(scale_type)},
    {"iters", LB_OPT_INT, "200", 1, 1e6, NULL, "steps of signed gradient descent a block", AT(iters)},
    {"batch", LB_OPT_INT, "8", 1, 65536, NULL, "calibration sequences a step; as many as there are: all, in order",
     AT(batch)},
    {"lr", LB_OPT_FLOAT, "0", 0, 1, NULL,
     "first step of the rounding offsets, falling linearly to 0; 0: 1 / iters, coarse where iters are few", AT(lr)},
    {"clip", LB_OPT_BOOL, "true", 0, 0, NULL, "learn the clipping of ranges too", AT(clip)},
    {"clip_lr", LB_OPT_FLOAT, "0", 0, 1, NULL, "first step of the clipping factors; 0: as lr", AT(clip_lr)},
    {"keep", LB_OPT_CHOICE, "best", 0, 0, kept, "parameters of the step with the least loss, or of the last one",
     AT(keep)},
};
/* What a rule may set for a layer of its own; the rest is of the block. */
static const char *const per_layer[] = {"bits", "group", "symmetric", "scale_type", NULL};

static lb_status autoround_check(const void *opts) {
    const autoround_opts *o = opts;
    if (o->group == LB_GROUP_TENSOR)
        return lb_fail(LB_E_UNSUPPORTED, "autoround learns the ranges of rows or groups: group must not be tensor");
    if (!o->clip && o->clip_lr > 0) return lb_fail(LB_E_UNSUPPORTED, "clip_lr does not apply: clip is false");
    return LB_OK;
}

static lb_status autoround_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const autoround_opts *o = opts;
    LB_TRY(autoround_check(opts));
    *out = (lb_storage){.format = &lb_uniform,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type};
    return LB_OK;
}

/* What is learned of one layer. */
typedef struct params {
    float *V;            /* (rows, cols) */
    float *alpha, *beta; /* (rows, groups) of the range's upper and lower end */
} params;

typedef struct learned {
    const lb_block_site *site;
    lb_gridspec grid;
    int64_t rows, cols, group, groups;
    float *low, *high; /* (rows, groups) of the weights, with 0 within */
    params now, best;
    float *What, *dW; /* (rows, cols) */
    int64_t first;    /* piece */
} learned;

typedef struct tuning {
    const lb_block_in *in;
    const autoround_opts *o;
    learned *x;
    int64_t n, pieces;
    lb_cmat *W;        /* (sites) of the block: What of those that are learned */
    lb_mat *dW;        /* (sites) */
    float *target;     /* (tokens, dim) outputs of the block as it is; NULL until asked for */
    bool *has;         /* (sequences) */
    lb_mat y;          /* (length, dim) of a sequence at most */
    int64_t *order;    /* (sequences) the first `batch` are a step's */
    float lr, clip_lr; /* of this step */
} tuning;

/* ---- weights from parameters ---- */

static void grid_of(const learned *x, const params *p, int64_t k, float *scale, float *zero) {
    lb_grid_of(&x->grid, x->low[k] * p->beta[k], x->high[k] * p->alpha[k], scale, zero);
}

static int64_t columns(const learned *x, int64_t g) {
    return x->cols - g * x->group < x->group ? x->cols - g * x->group : x->group;
}

/* f of every group in some rows of a layer, by piece. */
typedef void of_group(const tuning *t, const learned *x, int64_t r, int64_t g);
typedef struct groups_job {
    const tuning *t;
    of_group *f;
} groups_job;

static int64_t rows_of_piece(const learned *x) { return x->cols < PIECE ? PIECE / x->cols : 1; }

static lb_status run_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const groups_job *j = ctx;
    const learned *x = j->t->x + j->t->n - 1;
    while (x->first > piece) x--;
    int64_t step = rows_of_piece(x), r0 = (piece - x->first) * step, end = r0 + step < x->rows ? r0 + step : x->rows;
    for (int64_t r = r0; r < end; r++)
        for (int64_t g = 0; g < x->groups; g++) j->f(j->t, x, r, g);
    return LB_OK;
}

static lb_status each_group(const tuning *t, of_group *f) {
    return lb_parallel_for(t->in->team, t->pieces, run_piece, &(groups_job){t, f});
}

static float clamped(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

static void round_group(const tuning *t, const learned *x, int64_t r, int64_t g) {
    (void)t;
    float scale, zero, top = (float)((1 << x->grid.bits) - 1);
    const float *w = x->site->W.d + r * x->site->W.ld + g * x->group, *v = x->now.V + r * x->cols + g * x->group;
    float *to = x->What + r * x->cols + g * x->group;
    grid_of(x, &x->now, r * x->groups + g, &scale, &zero);
    for (int64_t i = 0, n = columns(x, g); i < n; i++) {
        float q = lb_grid_round(w[i] / scale + v[i]) + zero;
        q = q > 0.0f ? q : 0.0f;
        to[i] = scale * ((q < top ? q : top) - zero);
    }
}

/* ---- a signed step ---- */

static float sign_of(double g) { return g > 0 ? 1.0f : g < 0 ? -1.0f : 0.0f; }

/* The group's V; d loss / d scale and d loss / d zero are summed on the way. A weight beyond the codes moves neither V
 * nor, by its rounding, the scale; one within them does not move with the zero. */
static void step_offsets(const tuning *t, const learned *x, int64_t r, int64_t g, float scale, float zero, double *ds,
                         double *dz) {
    float top = (float)((1 << x->grid.bits) - 1);
    const float *w = x->site->W.d + r * x->site->W.ld + g * x->group, *d = x->dW + r * x->cols + g * x->group;
    float *v = x->now.V + r * x->cols + g * x->group;
    for (int64_t i = 0, n = columns(x, g); i < n; i++) {
        float u = w[i] / scale, q = lb_grid_round(u + v[i]) + zero;
        bool within = q >= 0.0f && q <= top;
        if (within) {
            *ds += (double)d[i] * (double)(q - zero - u);
            v[i] = clamped(v[i] - t->lr * sign_of((double)d[i]), -most_offset, most_offset);
        } else {
            *ds += (double)d[i] * (double)((q < 0.0f ? 0.0f : top) - zero);
            *dz -= (double)d[i] * (double)scale;
        }
    }
}

/* d scale and d zero by the ends of the range, and those by alpha and beta. */
static void step_group(const tuning *t, const learned *x, int64_t r, int64_t g) {
    int64_t k = r * x->groups + g;
    float scale, zero;
    double ds = 0, dz = 0, low = (double)x->low[k], high = (double)x->high[k], top = (double)((1 << x->grid.bits) - 1);
    double alpha = (double)x->now.alpha[k], beta = (double)x->now.beta[k], by_low, by_high;
    grid_of(x, &x->now, k, &scale, &zero);
    step_offsets(t, x, r, g, scale, zero, &ds, &dz);
    if (!t->o->clip) return;
    if (x->grid.symmetric) { /* the end that is farther away counts, on both sides where there are two */
        double width = low * beta < 0 ? 2 : 1;
        bool lower = -low * beta > high * alpha;
        by_low = lower ? -ds * width / top : 0;
        by_high = lower ? 0 : ds * width / top;
    } else { /* scale = (high - low) / top, zero = -low / scale */
        double s = (double)scale, through_scale = ds + dz * low * beta / (s * s);
        by_low = -through_scale / top - dz / s;
        by_high = through_scale / top;
    }
    x->now.alpha[k] = clamped(x->now.alpha[k] - t->clip_lr * sign_of(by_high * high), 0, 1);
    x->now.beta[k] = clamped(x->now.beta[k] - t->clip_lr * sign_of(by_low * low), 0, 1);
}

/* ---- the loss ---- */

static lb_status target_of(tuning *t, int64_t s, lb_cmat *out) {
    const lb_block_in *in = t->in;
    int64_t tokens = lb_block_start(in, in->sequences);
    if (!t->target && !(t->target = LB_NEW_UNSET(in->scratch, float, tokens * in->dim))) return LB_E_NOMEM;
    lb_mat y = lb_mat_of(t->target + lb_block_start(in, s) * in->dim, lb_block_length(in, s), in->dim);
    if (!t->has[s]) LB_TRY(in->forward(in, -1, s, NULL, y));
    t->has[s] = true;
    *out = lb_mat_c(y);
    return LB_OK;
}

/* y becomes its difference to the target, half the gradient of the squared error; which is returned. */
static double differ(lb_mat y, lb_cmat target) {
    double sum = 0;
    for (int64_t i = 0; i < y.rows * y.cols; i++) {
        y.d[i] -= target.d[i];
        sum += (double)y.d[i] * (double)y.d[i];
    }
    return sum;
}

/* Mean squared error of the step's batch; dW, but for a factor that all of it has. */
static lb_status gradients(tuning *t, int64_t batch, double *loss) {
    const lb_block_in *in = t->in;
    double sum = 0;
    int64_t tokens = 0;
    for (int64_t i = 0; i < t->n; i++) memset(t->x[i].dW, 0, (size_t)(t->x[i].rows * t->x[i].cols) * sizeof *t->x->dW);
    for (int64_t b = 0; b < batch; b++) {
        lb_cmat target;
        LB_TRY(target_of(t, t->order[b], &target));
        lb_mat y = lb_mat_of(t->y.d, target.rows, target.cols);
        LB_TRY(in->forward(in, -1, t->order[b], t->W, y));
        sum += differ(y, target);
        LB_TRY(in->backward(in, -1, t->order[b], t->W, lb_mat_c(y), t->dW, (lb_mat){0}));
        tokens += target.rows;
    }
    *loss = sum / (double)(tokens * in->dim);
    return isfinite(*loss) ? LB_OK : lb_fail(LB_E_NUMERIC, "autoround: the output's error is %g", *loss);
}

/* ---- all steps ---- */

static void keep(learned *x) {
    memcpy(x->best.V, x->now.V, (size_t)(x->rows * x->cols) * sizeof *x->now.V);
    memcpy(x->best.alpha, x->now.alpha, (size_t)(x->rows * x->groups) * sizeof *x->now.alpha);
    memcpy(x->best.beta, x->now.beta, (size_t)(x->rows * x->groups) * sizeof *x->now.beta);
}

/* The first `batch` of the order become a random choice; of all of them nothing is drawn. */
static void draw(tuning *t, lb_rng *rng, int64_t batch) {
    int64_t n = t->in->sequences;
    for (int64_t i = 0; i < batch && batch < n; i++) {
        int64_t k = i + lb_rng_below(rng, n - i), s = t->order[k];
        t->order[k] = t->order[i];
        t->order[i] = s;
    }
}

static lb_status tune(tuning *t) {
    const autoround_opts *o = t->o;
    const lb_block_in *in = t->in;
    double rate = o->lr > 0 ? o->lr : 1.0 / (double)o->iters, clip_rate = o->clip_lr > 0 ? o->clip_lr : rate;
    double first = 0, least = INFINITY;
    int64_t batch = o->batch < in->sequences ? o->batch : in->sequences, at = 0;
    lb_rng rng = lb_rng_make(in->seed, (uint64_t)in->block);
    for (int64_t i = 0; i < o->iters; i++) {
        double left = 1.0 - (double)i / (double)o->iters, loss = 0;
        draw(t, &rng, batch);
        LB_TRY(each_group(t, round_group));
        LB_TRY(gradients(t, batch, &loss));
        if (i == 0) first = loss;
        if (loss < least || o->keep == KEEP_LAST) {
            for (int64_t k = 0; k < t->n; k++) keep(&t->x[k]);
            least = loss;
            at = i;
        }
        t->lr = (float)(rate * left);
        t->clip_lr = (float)(clip_rate * left);
        LB_TRY(each_group(t, step_group));
    }
    lb_info(in->log, "block %lld: autoround: mean squared error of the output %.4g at first, %.4g after %lld steps",
            (long long)in->block, first, least, (long long)at);
    return LB_OK;
}

/* ---- from the block to its layers ---- */

static lb_status new_params(lb_arena *a, const learned *x, params *p) {
    int64_t groups = x->rows * x->groups;
    *p = (params){LB_NEW(a, float, x->rows * x->cols), LB_NEW(a, float, groups), LB_NEW(a, float, groups)};
    if (!p->V || !p->alpha || !p->beta) return LB_E_NOMEM;
    for (int64_t k = 0; k < groups; k++) p->alpha[k] = p->beta[k] = 1.0f;
    return LB_OK;
}

/* A NaN, and a range too wide for float32 or for scales of the type, are found here: ranges only shrink from now on. */
static lb_status find_ranges(const learned *x) {
    for (int64_t k = 0; k < x->rows * x->groups; k++) {
        int64_t r = k / x->groups, g = k % x->groups;
        const float *w = x->site->W.d + r * x->site->W.ld + g * x->group;
        float scale, zero;
        lb_status st = lb_grid_fit(&x->grid, w, columns(x, g), 1, &scale, &zero);
        if (st != LB_OK) return lb_block_fail_in(st, &x->site->storage, x->cols, k);
        LB_TRY(lb_grid_range(w, columns(x, g), 1, &x->low[k], &x->high[k]));
    }
    return LB_OK;
}

static lb_status add_layer(tuning *t, int32_t site) {
    lb_arena *a = t->in->scratch;
    const lb_block_site *s = &t->in->site[site];
    const lb_storage *st = &s->storage;
    learned *x = &t->x[t->n++];
    *x = (learned){.site = s,
                   .grid = {.bits = st->bits, .symmetric = st->symmetric, .scale_type = st->scale_type},
                   .rows = s->W.rows,
                   .cols = s->W.cols,
                   .group = st->group > 0 ? st->group : s->W.cols,
                   .groups = lb_storage_groups_per_row(st, s->W.cols),
                   .first = t->pieces};
    t->pieces += (x->rows - 1) / rows_of_piece(x) + 1;
    x->low = LB_NEW(a, float, x->rows * x->groups);
    x->high = LB_NEW(a, float, x->rows * x->groups);
    x->What = LB_NEW_UNSET(a, float, x->rows * x->cols);
    x->dW = LB_NEW_UNSET(a, float, x->rows * x->cols);
    if (!x->low || !x->high || !x->What || !x->dW) return LB_E_NOMEM;
    t->W[site] = lb_cmat_of(x->What, x->rows, x->cols);
    t->dW[site] = lb_mat_of(x->dW, x->rows, x->cols);
    LB_TRY(new_params(a, x, &x->now));
    LB_TRY(new_params(a, x, &x->best));
    lb_status found = find_ranges(x);
    return found == LB_OK ? found : lb_fail_in(found, "layer %s", s->name);
}

static lb_status start(tuning *t) {
    const lb_block_in *in = t->in;
    lb_arena *a = in->scratch;
    t->x = LB_NEW(a, learned, in->sites);
    t->W = LB_NEW(a, lb_cmat, in->sites);
    t->dW = LB_NEW(a, lb_mat, in->sites);
    t->has = LB_NEW(a, bool, in->sequences);
    t->order = LB_NEW(a, int64_t, in->sequences);
    t->y = lb_mat_of(LB_NEW(a, float, in->length * in->dim), in->length, in->dim);
    if (!t->x || !t->W || !t->dW || !t->has || !t->order || !t->y.d) return LB_E_NOMEM;
    for (int64_t s = 0; s < in->sequences; s++) t->order[s] = s;
    for (int32_t i = 0; i < in->sites; i++)
        if (in->site[i].quantize) LB_TRY(add_layer(t, i));
    return LB_OK;
}

static lb_status give(const tuning *t, const learned *x, lb_layer *out) {
    const lb_block_site *s = x->site;
    LB_TRY(lb_layer_new(t->in->arena, &s->storage, x->rows, x->cols, false, out));
    out->flags |= LB_FLAG_NOT_MINIMIZED;
    float top = (float)((1 << x->grid.bits) - 1);
    for (int64_t k = 0; k < x->rows * x->groups; k++) {
        int64_t r = k / x->groups, at = k % x->groups * x->group;
        const float *w = s->W.d + r * s->W.ld + at, *v = x->best.V + r * x->cols + at;
        float zero;
        grid_of(x, &x->best, k, &out->scale[k], &zero);
        if (out->zero) out->zero[k] = zero;
        for (int64_t i = 0, n = columns(x, k % x->groups); i < n; i++)
            out->codes[r * x->cols + at + i] =
                (uint8_t)(int)clamped(lb_grid_round(w[i] / out->scale[k] + v[i]) + zero, 0, top);
    }
    return LB_OK;
}

static lb_status autoround_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    tuning t = {.in = in, .o = opts};
    LB_TRY(autoround_check(opts));
    LB_TRY(start(&t));
    if (t.n == 0) return LB_OK;
    LB_TRY(tune(&t));
    for (int64_t i = 0; i < t.n; i++) LB_TRY(give(&t, &t.x[i], &out->layer[t.x[i].site - in->site]));
    return LB_OK;
}

/* A step goes forward twice, to the output and on the way back, with all layers of the block; targets once. Parameters
 * now and at their best, What and its gradient; targets are as much as what enters the block. */
static void autoround_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const autoround_opts *o = opts;
    double weights = (double)of->rows * (double)of->cols, batch = (double)o->batch, sequences = (double)of->sequences;
    if (batch > sequences) batch = sequences;
    double calls = (double)o->iters * batch, length = (double)of->length;
    if (of->first_in_block) {
        out->backward = calls * length;
        out->forward = 2 * out->backward + (calls < sequences ? calls : sequences) * length;
    }
    out->steps = (double)o->iters * 20 * weights;
    out->scratch = 4 * sizeof(float) * weights;
    double groups = o->group > 0 && o->group < of->cols ? ceil((double)of->cols / (double)o->group) : 1;
    out->scratch += 6 * sizeof(float) * (double)of->rows * groups;
}

const lb_method lb_autoround_method = {
    .api = LB_METHOD_API,
    .name = "autoround",
    .summary = "rounding and clipping learned by signed gradients on a block's output",
    .cite = "cheng2024signround",
    .needs = LB_NEEDS_FORWARD | LB_NEEDS_SEED,
    .options = {table, sizeof table / sizeof table[0], sizeof(autoround_opts)},
    .per_layer = per_layer,
    .check = autoround_check,
    .spec = autoround_spec,
    .block = autoround_block,
    .cost = autoround_cost,
};
