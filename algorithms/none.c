/* No quantization: the baseline that every sweep runs first. Counted as 16 bits a weight, as the papers do; the numbers
 * are the model's own, not rounded to float16. */
#include <string.h>

#include "quant/method.h"

static lb_status none_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols;
    *out = (lb_storage){.format = &lb_f16, .bits = 16};
    return LB_OK;
}

static lb_status none_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage s;
    LB_TRY(none_spec(opts, in->W.rows, in->W.cols, &s));
    LB_TRY(lb_layer_new(in->arena, &s, in->W.rows, in->W.cols, false, out));
    for (int64_t r = 0; r < in->W.rows; r++)
        memcpy(out->dense + r * in->W.cols, in->W.d + r * in->W.ld, (size_t)in->W.cols * sizeof(float));
    return LB_OK;
}

static void none_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    (void)opts;
    out->steps = (double)of->rows * (double)of->cols;
}

const lb_method lb_none_method = {
    .api = LB_METHOD_API,
    .name = "none",
    .summary = "the unquantized baseline",
    .spec = none_spec,
    .layer = none_layer,
    .cost = none_cost,
};
