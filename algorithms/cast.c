/* Weights saved in 16 bits: each is rounded to the nearest float16 (IEEE 754 binary16) or bfloat16, half to even, and
 * is stored so, without scales. What PyTorch's half() and bfloat16() make of a matrix, but for numbers beyond the
 * type's largest: there they give infinity, which no layer can hold, and this is an error. Of float16 what is below
 * 2^-14 keeps fewer bits, and what is at most 2^-25 becomes 0. */
#include <string.h>

#include "base/profile.h"
#include "quant/method.h"

typedef struct cast_opts {
    int type;
} cast_opts;

static const char *const types[] = {"f16", "bf16", NULL};
static const lb_option table[] = {
    {"type", LB_OPT_CHOICE, "f16", 0, 0, types, "float16, or bfloat16: the range of float32, and 8 significant bits",
     offsetof(cast_opts, type)},
};

static lb_status cast_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)rows, (void)cols;
    *out = (lb_storage){.format = ((const cast_opts *)opts)->type ? &lb_bfloat16 : &lb_float16, .bits = 16};
    return LB_OK;
}

static lb_status cast_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    lb_storage floats;
    LB_TRY(cast_spec(opts, rows, cols, &floats));
    return lb_storage_round(so_far, &floats, out);
}

typedef struct job {
    const lb_layer_in *in;
    lb_cmat W;
    lb_scale_type type;
    float *out;
} job;

static lb_status round_row(void *ctx, int64_t r, int worker) {
    (void)worker;
    const job *j = ctx;
    int64_t cols = j->W.cols;
    lb_status st = LB_OK;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SOLVE);
    for (int64_t c = 0; c < cols && st == LB_OK; c++) {
        st = lb_number_store(j->type, "weight", j->W.d[r * j->W.ld + c], &j->out[r * cols + c]);
        if (st != LB_OK)
            st = lb_fail_in(st, "layer %s: row %lld, column %lld", j->in->name, (long long)r, (long long)c);
    }
    lb_scope_end(&scope, (double)cols, 8 * (double)cols);
    return st;
}

static lb_status cast_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    const lb_layer *from = in->so_far;
    lb_storage s;
    job j = {in, in->W, ((const cast_opts *)opts)->type ? LB_SCALE_BF16 : LB_SCALE_F16, NULL};
    if (from) {
        LB_TRY(cast_extend(opts, &from->storage, in->W.rows, in->W.cols, &s));
        j.W = lb_cmat_of(from->dense, from->rows, from->cols);
    } else {
        LB_TRY(cast_spec(opts, in->W.rows, in->W.cols, &s));
    }
    LB_TRY(lb_layer_new(in->arena, &s, j.W.rows, j.W.cols, false, out));
    if (from && from->mask) memcpy(out->mask, from->mask, (size_t)(from->rows * lb_mask_row_bytes(from->cols)));
    j.out = out->dense;
    return lb_parallel_for(in->team, j.W.rows, round_row, &j);
}

static void cast_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    (void)opts;
    out->steps = 2 * (double)of->rows * (double)of->cols;
}

const lb_method lb_cast_method = {
    .api = LB_METHOD_API,
    .name = "cast",
    .summary = "weights saved as float16 or bfloat16, without scales",
    .options = {table, sizeof table / sizeof table[0], sizeof(cast_opts)},
    .spec = cast_spec,
    .layer = cast_layer,
    .extend = cast_extend,
    .cost = cast_cost,
};
