/* Quantized inputs: Xiao et al. 2023 (SmoothQuant, arXiv:2211.10438), section 2. The weights are what the stages before
 * made of them, or stay floats; what they multiply is rounded to a uniform grid first: of a range for each token, or for
 * each group of its columns, found as the model runs. */
#include <string.h>

#include "quant/method.h"

typedef struct act_opts {
    int64_t act_bits, act_group;
    bool act_symmetric;
} act_opts;

static const lb_option table[] = {
    {"act_bits", LB_OPT_INT, "8", 2, 8, NULL, "bits of the layers' inputs", offsetof(act_opts, act_bits)},
    {"act_symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "activation ranges symmetric about 0",
     offsetof(act_opts, act_symmetric)},
    {"act_group", LB_OPT_INT, "0", 0, 65536, NULL,
     "columns of a token that share a range, the last may be fewer; 0: all of them", offsetof(act_opts, act_group)},
};

static lb_status act_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows;
    const act_opts *o = opts;
    if (so_far->act.bits > 0)
        return lb_fail(LB_E_UNSUPPORTED, "inputs are quantized to %d bits already", so_far->act.bits);
    if (o->act_group > cols)
        return lb_fail(LB_E_UNSUPPORTED, "act_group = %lld: an input of %lld columns is narrower",
                       (long long)o->act_group, (long long)cols);
    *out = *so_far;
    out->act = (lb_actquant){
        .bits = (int)o->act_bits, .symmetric = o->act_symmetric, .mode = LB_ACTQUANT_TOKEN, .group = o->act_group};
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

static lb_status act_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    LB_TRY(in->so_far ? act_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &s)
                      : act_spec(opts, in->W.rows, in->W.cols, &s));
    if (in->so_far)
        *out = *in->so_far;
    else
        LB_TRY(start(in, &s, out));
    out->storage = s;
    return LB_OK;
}

extern const lb_method lb_act_method;
const lb_method lb_act_method = {
    .api = LB_METHOD_API,
    .name = "act",
    .summary = "quantized inputs, beside weights that stay as they are",
    .cite = "xiao2023smoothquant",
    .options = {table, sizeof table / sizeof table[0], sizeof(act_opts)},
    .spec = act_spec,
    .layer = act_layer,
    .extend = act_extend,
};
