/* Round-to-nearest onto 4-bit codebooks, NF4 and FP4, with absmax scales: Dettmers et al. 2023 (arXiv:2305.14314)
 * section 3, in every code as bitsandbytes. */
#include "quant/method.h"

typedef struct nf4_opts {
    int64_t bits, group;
    int format, scale_type;
    bool double_quant;
} nf4_opts;

static const char *const formats[] = {"nf4", "fp4", NULL};
static const char *const scale_types[] = {"f32", "f16", "bf16", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits a weight; both codebooks have 16 values, so 4 is the only choice",
     offsetof(nf4_opts, bits)},
    {"group", LB_OPT_GROUP, "64", 2, 65536, NULL,
     "QLoRA's block size: weights that share an absmax, row-major over the whole matrix", offsetof(nf4_opts, group)},
    {"format", LB_OPT_CHOICE, "nf4", 0, 0, formats, "4-bit NormalFloat, or a 4-bit float", offsetof(nf4_opts, format)},
    {"double_quant", LB_OPT_BOOL, "false", 0, 0, NULL, "store the absmax values in 8 bits, in blocks of 256",
     offsetof(nf4_opts, double_quant)},
    {"scale_type", LB_OPT_CHOICE, "f32", 0, 0, scale_types, "how absmax values are stored without double_quant",
     offsetof(nf4_opts, scale_type)},
};

static lb_status nf4_check(const void *opts) {
    const nf4_opts *o = opts;
    if (o->bits != 4)
        return lb_fail(LB_E_UNSUPPORTED, "%s has 16 values, so bits must be 4, not %d", formats[o->format],
                       (int)o->bits);
    if (o->group <= 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s blocks are runs of weights: group must be a number, not %s",
                       formats[o->format], o->group == LB_GROUP_ROW ? "row" : "tensor");
    if (o->double_quant && o->scale_type != LB_SCALE_F32)
        return lb_fail(LB_E_UNSUPPORTED, "double_quant stores scales in 8 bits: scale_type %s does not apply",
                       scale_types[o->scale_type]);
    return LB_OK;
}

static lb_status nf4_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    const nf4_opts *o = opts;
    LB_TRY(nf4_check(opts));
    *out = (lb_storage){.format = o->format == 0 ? &lb_nf4 : &lb_fp4,
                        .bits = 4,
                        .group = o->group,
                        .scale_type = (lb_scale_type)o->scale_type,
                        .double_quant = o->double_quant};
    return LB_OK;
}

static lb_status nf4_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage codes;
    LB_TRY(nf4_spec(opts, rows, cols, &codes));
    return lb_storage_round(so_far, &codes, out);
}

static lb_status nf4_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    lb_status st;
    if (in->so_far) {
        LB_TRY(nf4_extend(opts, &in->so_far->storage, in->W.rows, in->W.cols, &s));
        st = lb_round_floats(in->arena, &s, false, in->so_far, in->team, out);
    } else {
        LB_TRY(nf4_spec(opts, in->W.rows, in->W.cols, &s));
        st = lb_round_to_nearest_team(in->arena, &s, false, in->W, in->team, out);
    }
    return st == LB_E_NUMERIC ? lb_fail_in(st, "layer %s", in->name) : st;
}

static void nf4_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    lb_storage s;
    if (nf4_spec(opts, of->rows, of->cols, &s) != LB_OK) return;
    out->steps = lb_round_steps(&s, false) * (double)of->rows * (double)of->cols;
    out->scratch = lb_round_bytes(&s, of);
}

const lb_method lb_nf4_method = {
    .api = LB_METHOD_API,
    .name = "nf4",
    .summary = "round to nearest on a 4-bit codebook, NF4 or FP4, with absmax blocks",
    .cite = "dettmers2023qlora",
    .options = {table, sizeof table / sizeof table[0], sizeof(nf4_opts)},
    .check = nf4_check,
    .spec = nf4_spec,
    .layer = nf4_layer,
    .extend = nf4_extend,
    .cost = nf4_cost,
};
