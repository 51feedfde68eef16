/* SmoothQuant: Xiao et al. 2023 (arXiv:2211.10438): a channel of an input is divided by s_j = max|X_j|^alpha /
 * max|W_j|^(1-alpha) (eq. 4), W over all layers that read the input, whose columns are multiplied by it; so part of
 * what is hard to quantize moves from inputs to weights. As in its authors' code max|W_j| and s_j are at least 1e-5,
 * and only what comes from a norm is smoothed, by the norm's weight (fold: norms); fold: all smooths the other inputs
 * too, by the rows of the layer before, or, where nothing takes a scale up, at run time. */
#include <math.h>

#include "quant/block.h"
#include "quant/transform.h"

enum { FOLD_NORMS, FOLD_ALL };

typedef struct smoothquant_opts {
    double alpha;
    int fold;
} smoothquant_opts;

static const char *const folds[] = {"norms", "all", NULL};
static const lb_option table[] = {
    {"alpha", LB_OPT_FLOAT, "0.5", 0, 1, NULL, "how much of the difficulty moves from inputs to weights",
     offsetof(smoothquant_opts, alpha)},
    {"fold", LB_OPT_CHOICE, "norms", 0, 0, folds,
     "inputs that are smoothed: those that norms make, or all, where what cannot be folded is done at run time",
     offsetof(smoothquant_opts, fold)},
};

static lb_status smoothquant_spec_input(const void *opts, const lb_block_input *in, lb_storage *out, bool *fold) {
    bool all = ((const smoothquant_opts *)opts)->fold == FOLD_ALL;
    *fold = all ? in->foldable : in->behind_norm;
    out->t_scale = all && !in->foldable;
    out->t_scale_type = LB_SCALE_F32;
    return LB_OK;
}

/* max |W_j| over all sites that read input i, into w (cols). */
static void largest_weights(const lb_block_in *in, int32_t i, double *w) {
    for (int64_t c = 0; c < in->input[i].cols; c++) w[c] = 0;
    for (int32_t k = 0; k < in->sites; k++) {
        const lb_cmat W = in->site[k].W;
        if (in->site[k].input != i) continue;
        for (int64_t r = 0; r < W.rows; r++)
            for (int64_t c = 0; c < W.cols; c++) w[c] = fmax(w[c], fabs((double)W.d[r * W.ld + c]));
    }
}

/* Of channels that must have one scale, the largest of all. */
static lb_status tie(lb_arena *scratch, const int32_t *tied, int64_t cols, double *v) {
    if (!tied) return LB_OK;
    double *of = LB_NEW(scratch, double, cols);
    if (!of) return LB_E_NOMEM;
    for (int64_t c = 0; c < cols; c++) of[tied[c]] = fmax(of[tied[c]], v[c]);
    for (int64_t c = 0; c < cols; c++) v[c] = of[tied[c]];
    return LB_OK;
}

static lb_status smooth(const lb_block_in *in, int32_t i, bool fold, const float **out) {
    const double least = 1e-5;
    const lb_block_input *x = &in->input[i];
    double alpha = ((const smoothquant_opts *)x->opts)->alpha;
    const int32_t *tied = fold ? x->tied : NULL;
    float *scale = LB_NEW_UNSET(in->arena, float, x->cols);
    double *X = LB_NEW_UNSET(in->scratch, double, x->cols), *W = LB_NEW_UNSET(in->scratch, double, x->cols);
    if (!scale || !X || !W) return LB_E_NOMEM;
    for (int64_t c = 0; c < x->cols; c++) X[c] = (double)x->stats->absmax[c];
    largest_weights(in, i, W);
    LB_TRY(tie(in->scratch, tied, x->cols, X));
    LB_TRY(tie(in->scratch, tied, x->cols, W));
    for (int64_t c = 0; c < x->cols; c++) {
        double s = fmax(pow(X[c], alpha) / pow(fmax(W[c], least), 1 - alpha), least);
        scale[c] = x->stats->tokens ? (float)(1 / s) : 1; /* of an expert that no token reached, nothing is known */
    }
    *out = scale;
    return LB_OK;
}

static lb_status smoothquant_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    (void)opts;
    for (int32_t i = 0; i < in->inputs; i++) {
        lb_storage s = {0};
        bool fold = false;
        if (!in->input[i].quantize) continue;
        LB_TRY(smoothquant_spec_input(in->input[i].opts, &in->input[i], &s, &fold));
        if (fold || s.t_scale) LB_TRY(smooth(in, i, fold, &out->T[i].scale));
    }
    return LB_OK;
}

const lb_method lb_smoothquant_method = {
    .api = LB_METHOD_API,
    .name = "smoothquant",
    .summary = "inputs divided by scales that the weights take up, before rounding",
    .cite = "xiao2023smoothquant",
    .needs = LB_PRESERVES | LB_NEEDS_ABSMAX,
    .options = {table, sizeof table / sizeof table[0], sizeof(smoothquant_opts)},
    .spec_input = smoothquant_spec_input,
    .block = smoothquant_block,
};
