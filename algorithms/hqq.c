/* HQQ: Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models", as the authors' code runs it
 * (hqq.core, groups along rows). Without calibration data: the scale of a group is that of its range, and its real zero
 * z is searched for by half-quadratic splitting of min ||W - W^||_p^p, p < 1:
 *   We = shrink(W - s (Q - z))                 (sub-problem 1: the generalized soft threshold, with beta)
 *   z  = mean over the group of Q - (W - We)/s (sub-problem 2)
 * until the mean |W - W^| of the whole layer falls no more. That one step too many is kept, as there. What is called
 * `inverse` is the authors' scale: theirs is 1/s. */
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "quant/method.h"

#define PANEL_ROWS   16
#define LEAST_RANGE  1e-4f /* of a group whose scale is not 1 */
#define MOST_INVERSE 2e4f
#define USUAL_STEPS  12

typedef struct hqq_opts {
    int64_t bits, group, iters;
    double lp_norm, beta;
    int scale_type;
    bool round_zero;
} hqq_opts;

static const char *const only_row[] = {"row", NULL};
static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 1, 8, NULL, "bits a weight", offsetof(hqq_opts, bits)},
    {"group", LB_OPT_GROUP, "64", 8, 65536, only_row, "columns that share a scale and a zero",
     offsetof(hqq_opts, group)},
    {"iters", LB_OPT_INT, "20", 0, 10000, NULL, "steps at most; 0: the range's own zeros", offsetof(hqq_opts, iters)},
    {"lp_norm", LB_OPT_FLOAT, "0.7", 0.1, 1, NULL, "p of the norm that is minimized", offsetof(hqq_opts, lp_norm)},
    {"beta", LB_OPT_FLOAT, "10", 1e-6, 1e6, NULL, "weight of the splitting's quadratic term", offsetof(hqq_opts, beta)},
    {"round_zero", LB_OPT_BOOL, "false", 0, 0, NULL, "the search starts from whole zeros, as the authors' at 4 bits",
     offsetof(hqq_opts, round_zero)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types,
     "how scales and zeros are stored; rounded before codes are computed", offsetof(hqq_opts, scale_type)},
};

enum { TOLD_STEPS, TOLD_ERROR };
static const lb_diagnostic told[] = {
    {"iterations", "steps", "steps of the search, with the one after which the error fell no more", 0, 10000},
    {"last_error", "", "mean |W - W^| in the last of them, before it moved the zeros", 0, 1e300},
};

static lb_status hqq_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const hqq_opts *o = opts;
    *out = (lb_storage){
        .format = &lb_affine, .bits = (int)o->bits, .group = o->group, .scale_type = (lb_scale_type)o->scale_type};
    return LB_OK;
}

static lb_status hqq_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage codes;
    LB_TRY(hqq_spec(opts, rows, cols, &codes));
    return lb_storage_round(so_far, &codes, out);
}

typedef struct search {
    const hqq_opts *o;
    lb_cmat W;
    const uint8_t *mask; /* or NULL; the weights of a group are those that it keeps */
    lb_layer *c;         /* zero: as found so far */
    float *kept;         /* (threads, group): those, brought together */
    uint8_t *code;       /* (threads, group) */
    int64_t group, groups;
    float maxq;
    float *inverse; /* (rows, groups) */
    double *error;  /* (rows) sums of |W - W^| */
} search;

static void start_group(search *s, int64_t at, const float *w, int64_t n) {
    float low = w[0], high = w[0];
    for (int64_t i = 1; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    float range = high - low, inverse = range <= LEAST_RANGE ? 1.0f : s->maxq / range;
    s->inverse[at] = fminf(inverse, MOST_INVERSE);
    float zero = -low * s->inverse[at];
    s->c->zero[at] = s->o->round_zero ? rintf(zero) : zero;
}

/* One step of a group; the error is that of the zero before it. */
static double step_group(search *s, int64_t at, const float *w, int64_t n) {
    float inverse = s->inverse[at], zero = s->c->zero[at], per_beta = (float)(1 / s->o->beta);
    float power = (float)(s->o->lp_norm - 1);
    double error = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        float q = fminf(fmaxf(rintf(w[i] * inverse + zero), 0.0f), s->maxq);
        float e = w[i] - (q - zero) / inverse, size = fabsf(e);
        float shrunk = size - per_beta * (power == 0 ? 1.0f : powf(size, power)); /* -infinity at 0 */
        shrunk = shrunk > 0 ? copysignf(shrunk, e) : 0.0f;
        error += (double)size;
        sum += (double)(q - (w[i] - shrunk) * inverse);
    }
    s->c->zero[at] = (float)(sum / (double)n);
    return error;
}

static lb_status store_grid(lb_layer *c, int64_t at, float inverse) {
    lb_scale_type t = c->storage.scale_type;
    lb_status st = lb_scale_store(t, 1.0f / inverse, &c->scale[at]);
    if (st == LB_OK) st = lb_number_store(t, "zero", c->zero[at], &c->zero[at]);
    return st == LB_OK ? st : lb_block_fail_in(st, &c->storage, c->cols, at);
}

static lb_status finish_group(search *s, int64_t at, const float *w, int64_t n, uint8_t *codes) {
    const lb_storage *x = &s->c->storage;
    LB_TRY(store_grid(s->c, at, s->inverse[at]));
    x->format->encode(x, w, n, s->c->scale[at], s->c->zero[at], codes);
    return LB_OK;
}

typedef enum phase { START, STEP, FINISH } phase;
typedef struct pass {
    search *s;
    phase phase;
} pass;

/* Group g of row r; in a step its error is added. */
static lb_status group_of(const pass *p, int64_t r, int64_t g, int worker, double *error) {
    search *s = p->s;
    int64_t cols = s->W.cols, start = g * s->group, n = start + s->group < cols ? s->group : cols - start;
    int64_t at = r * s->groups + g, k = r * cols + start, kept;
    float *w = s->kept + worker * s->group;
    uint8_t *code = s->code + worker * s->group;
    kept = lb_mask_gather(s->mask, cols, k, s->W.d + r * s->W.ld + start, n, w);
    if (kept == 0) w[0] = 0, kept = 1;
    if (p->phase == STEP) *error += step_group(s, at, w, kept);
    if (p->phase == START) start_group(s, at, w, kept);
    if (p->phase == FINISH) {
        LB_TRY(finish_group(s, at, w, kept, code));
        lb_mask_scatter(s->mask, cols, k, code, n, s->c->codes + k);
    }
    return LB_OK;
}

static lb_status rows_of(void *ctx, int64_t piece, int worker) {
    const pass *p = ctx;
    search *s = p->s;
    int64_t last = (piece + 1) * PANEL_ROWS < s->W.rows ? (piece + 1) * PANEL_ROWS : s->W.rows;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    lb_status st = LB_OK;
    for (int64_t r = piece * PANEL_ROWS; r < last; r++) {
        double error = 0;
        for (int64_t g = 0; g < s->groups && st == LB_OK; g++) st = group_of(p, r, g, worker, &error);
        s->error[r] = error;
    }
    double weights = (double)((last - piece * PANEL_ROWS) * s->W.cols);
    lb_scope_end(&scope, 20 * weights, 5 * weights);
    return st;
}

static lb_status run_phase(search *s, phase what, lb_team *team) {
    pass p = {s, what};
    return lb_parallel_for(team, (s->W.rows - 1) / PANEL_ROWS + 1, rows_of, &p);
}

static lb_status hqq_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage storage;
    const lb_layer *floats = in->so_far;
    LB_TRY(floats ? hqq_extend(opts, &floats->storage, in->W.rows, in->W.cols, &storage)
                  : hqq_spec(opts, in->W.rows, in->W.cols, &storage));
    int64_t cols = in->W.cols, threads = lb_team_threads(in->team), steps = 0;
    LB_TRY(lb_layer_in_check(in, "hqq", false));
    LB_TRY(lb_layer_new(in->arena, &storage, in->W.rows, cols, false, out));
    search s = {.o = opts,
                .W = floats ? lb_cmat_of(floats->dense, floats->rows, cols) : in->W,
                .mask = floats ? floats->mask : NULL,
                .c = out,
                .group = storage.group > 0 ? storage.group : cols,
                .groups = lb_storage_groups_per_row(&storage, cols),
                .maxq = (float)((1 << storage.bits) - 1)};
    s.inverse = LB_NEW(in->scratch, float, in->W.rows *s.groups);
    s.error = LB_NEW(in->scratch, double, in->W.rows);
    s.kept = LB_NEW(in->scratch, float, s.group *threads);
    s.code = LB_NEW(in->scratch, uint8_t, s.group * threads);
    if (!s.inverse || !s.error || !s.kept || !s.code) return LB_E_NOMEM;
    if (s.mask) memcpy(out->mask, s.mask, (size_t)(out->rows * lb_mask_row_bytes(cols)));
    LB_TRY(run_phase(&s, START, in->team));
    float best = INFINITY, mean = 0;
    for (bool falls = true; falls && steps < s.o->iters; steps++) {
        LB_TRY(run_phase(&s, STEP, in->team));
        double sum = 0;
        for (int64_t r = 0; r < in->W.rows; r++) sum += s.error[r];
        mean = (float)(sum / ((double)in->W.rows * (double)cols));
        falls = mean < best;
        best = falls ? mean : best;
    }
    lb_tell(&out->told, TOLD_STEPS, (double)steps);
    if (steps > 0 && isfinite(mean)) lb_tell(&out->told, TOLD_ERROR, (double)mean);
    lb_status st = run_phase(&s, FINISH, in->team);
    return st == LB_E_NUMERIC ? lb_fail_in(st, "layer %s", in->name) : st;
}

/* A step takes a power a weight; few searches take all the steps that they may. */
static void hqq_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    const hqq_opts *o = opts;
    lb_storage s;
    if (hqq_spec(opts, of->rows, of->cols, &s) != LB_OK) return;
    double group = (double)(s.group > 0 ? s.group : of->cols), rows = (double)of->rows;
    double steps = (double)(o->iters < USUAL_STEPS ? o->iters : USUAL_STEPS);
    out->steps = rows * (double)of->cols * (lb_round_steps(&s, false) + steps * (o->lp_norm == 1 ? 16 : 30));
    out->scratch = rows * (sizeof(float) * (double)lb_storage_groups_per_row(&s, of->cols) + sizeof(double)) +
                   of->threads * group * (sizeof(float) + 1);
}

const lb_method lb_hqq_method = {
    .api = LB_METHOD_API,
    .name = "hqq",
    .summary = "half-quadratic search for real zeros, without calibration data",
    .cite = "badri2023hqq",
    .options = {table, sizeof table / sizeof table[0], sizeof(hqq_opts)},
    .spec = hqq_spec,
    .layer = hqq_layer,
    .cost = hqq_cost,
    .diagnostics = {told, sizeof told / sizeof told[0]},
    .extend = hqq_extend,
};
