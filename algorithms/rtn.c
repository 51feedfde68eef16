/* Round-to-nearest onto any number format. On the uniform grid: Jacob et al. 2018 (arXiv:1712.05877) eq. 1, with the
 * range and the rounding of the GPTQ authors' code. */
#include "quant/method.h"

typedef struct rtn_opts {
    int64_t bits, group;
    bool symmetric, mse;
    int scale_type;
    const lb_format *format;
} rtn_opts;

static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 1, 8, NULL, "bits a weight", offsetof(rtn_opts, bits)},
    {"group", LB_OPT_GROUP, "row", 8, 65536, NULL, "columns that share a scale; the last group of a row may be shorter",
     offsetof(rtn_opts, group)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "range symmetric about 0: no zeros are stored",
     offsetof(rtn_opts, symmetric)},
    {"mse", LB_OPT_BOOL, "false", 0, 0, NULL,
     "clip search: shrink the range in 80 steps of 1/100 to the least sum of |error|^2.4", offsetof(rtn_opts, mse)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how scales are stored; rounded before codes are computed",
     offsetof(rtn_opts, scale_type)},
    {"format", LB_OPT_FORMAT, "int", 0, 0, NULL, "number format; bits and group must be what it has",
     offsetof(rtn_opts, format)},
};

static lb_status rtn_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const rtn_opts *o = opts;
    *out = (lb_storage){.format = o->format,
                        .bits = (int)o->bits,
                        .group = o->group,
                        .symmetric = o->symmetric,
                        .scale_type = (lb_scale_type)o->scale_type};
    return lb_format_accepts(out, o->mse);
}

static lb_status rtn_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage codes;
    LB_TRY(rtn_spec(opts, rows, cols, &codes));
    return lb_storage_round(so_far, &codes, out);
}

static lb_status rtn_check(const void *opts) {
    lb_storage unused;
    return rtn_spec(opts, 1, 1, &unused);
}

static lb_status rtn_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    lb_status st;
    bool mse = ((const rtn_opts *)opts)->mse;
    if (in->so_far) {
        LB_TRY(rtn_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &s));
        st = lb_round_floats(in->arena, &s, mse, in->so_far, in->team, out);
    } else {
        LB_TRY(rtn_spec(opts, in->W.rows, in->W.cols, &s));
        st = lb_round_to_nearest_team(in->arena, &s, mse, in->W, in->team, out);
    }
    return st == LB_E_NUMERIC ? lb_fail_in(st, "layer %s", in->name) : st;
}

static void rtn_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    lb_storage s;
    if (rtn_spec(opts, of->rows, of->cols, &s) != LB_OK) return;
    out->steps = lb_round_steps(&s, ((const rtn_opts *)opts)->mse) * (double)of->rows * (double)of->cols;
    out->scratch = lb_round_bytes(&s, of);
}

const lb_method lb_rtn_method = {
    .api = LB_METHOD_API,
    .name = "rtn",
    .summary = "round to nearest on a uniform grid or another number format",
    .cite = "jacob2018quantization",
    .options = {table, sizeof table / sizeof table[0], sizeof(rtn_opts)},
    .check = rtn_check,
    .spec = rtn_spec,
    .layer = rtn_layer,
    .extend = rtn_extend,
    .cost = rtn_cost,
};
