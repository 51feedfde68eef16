/* Quantized inputs: Xiao et al. 2023 (SmoothQuant, arXiv:2211.10438), section 2. The weights are what the stages before
 * made of them, or stay floats; what they multiply is rounded to a uniform grid first: of a range for each token, or
 * for each group of its columns, found as the model runs; or of one range, from the least to the largest input in
 * calibration. */
#include <math.h>
#include <string.h>

#include "quant/method.h"

typedef struct act_opts {
    int64_t act_bits, act_group;
    bool act_symmetric;
    int act_mode;
} act_opts;

static const char *const modes[] = {[LB_ACTQUANT_TOKEN] = "token", [LB_ACTQUANT_STATIC] = "static", NULL};

static const lb_option table[] = {
    {"act_bits", LB_OPT_INT, "8", 2, 8, NULL, "bits of the layers' inputs", offsetof(act_opts, act_bits)},
    {"act_symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "activation ranges symmetric about 0",
     offsetof(act_opts, act_symmetric)},
    {"act_mode", LB_OPT_CHOICE, "token", 0, 0, modes,
     "token: a range for each token, as the model runs; static: one for all, from calibration",
     offsetof(act_opts, act_mode)},
    {"act_group", LB_OPT_INT, "0", 0, 65536, NULL,
     "columns of a token that share a range, the last may be fewer; 0: all of them", offsetof(act_opts, act_group)},
};

static lb_status act_check(const void *opts) {
    const act_opts *o = opts;
    if (o->act_mode == LB_ACTQUANT_STATIC && o->act_group > 0)
        return lb_fail(LB_E_UNSUPPORTED, "act_group does not apply: act_mode static has one range");
    return LB_OK;
}

static uint32_t act_needs(const void *opts) {
    return ((const act_opts *)opts)->act_mode == LB_ACTQUANT_STATIC ? LB_NEEDS_RANGE : 0;
}

static lb_status act_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows;
    const act_opts *o = opts;
    LB_TRY(act_check(opts));
    if (so_far->act.bits > 0)
        return lb_fail(LB_E_UNSUPPORTED, "inputs are quantized to %d bits already", so_far->act.bits);
    if (o->act_group > cols)
        return lb_fail(LB_E_UNSUPPORTED, "act_group = %lld: an input of %lld columns is narrower",
                       (long long)o->act_group, (long long)cols);
    *out = *so_far;
    out->act = (lb_actquant){.bits = (int)o->act_bits,
                             .symmetric = o->act_symmetric,
                             .mode = (lb_actquant_mode)o->act_mode,
                             .group = o->act_group};
    return LB_OK;
}

static lb_status act_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    const lb_storage floats = {.format = &lb_f16, .bits = 16};
    return act_extend(opts, &floats, rows, cols, out);
}

/* The weights as they are. */
static lb_status start(const lb_layer_in *in, const lb_storage *s, lb_layer *out) {
    int64_t bad = lb_mat_first_bad(in->W);
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "layer %s: weight at row %lld, column %lld is NaN or infinite", in->name,
                       (long long)(bad / in->W.cols), (long long)(bad % in->W.cols));
    LB_TRY(lb_layer_new(in->arena, s, in->W.rows, in->W.cols, false, out));
    for (int64_t r = 0; r < in->W.rows; r++)
        memcpy(out->dense + r * in->W.cols, in->W.d + r * in->W.ld, (size_t)in->W.cols * sizeof(float));
    return LB_OK;
}

/* Inputs that were all 0 are so with any scale. */
static lb_status static_range(const lb_layer_in *in, lb_layer *out) {
    lb_actquant act = out->storage.act;
    if (!in->stats) return lb_fail(LB_E_ARG, "layer %s: act needs the range of its inputs", in->name);
    LB_TRY(lb_stats_reached(in));
    lb_actquant_range(&act, in->stats->lo, in->stats->hi);
    if (!isfinite(act.scale))
        return lb_fail(LB_E_NUMERIC, "layer %s: inputs in [%g, %g]: no finite range", in->name, (double)in->stats->lo,
                       (double)in->stats->hi);
    out->act_scale = act.scale > 0 ? act.scale : 1;
    out->act_zero = act.zero;
    return LB_OK;
}

static lb_status act_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    LB_TRY(in->so_far ? act_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &s)
                      : act_spec(opts, in->W.rows, in->W.cols, &s));
    if (in->so_far)
        *out = *in->so_far;
    else
        LB_TRY(start(in, &s, out));
    out->storage = s;
    return lb_actquant_is_static(&s.act) ? static_range(in, out) : LB_OK;
}

const lb_method lb_act_method = {
    .api = LB_METHOD_API,
    .name = "act",
    .summary = "quantized inputs, beside weights that stay as they are",
    .cite = "xiao2023smoothquant",
    .needs = LB_NEEDS_RANGE,
    .options = {table, sizeof table / sizeof table[0], sizeof(act_opts)},
    .needs_of = act_needs,
    .check = act_check,
    .spec = act_spec,
    .layer = act_layer,
    .extend = act_extend,
};
