/* Products in bfloat16, of weights that were rounded before (lb_linop.half). */
#include <assert.h>

#include "math/kernels.h"
#include "model/linop.h"

static void prepare(lb_cmat x, const lb_linop_room *room, lb_linop_input *out) {
    assert(room->half);
    lb_bf16_round(x, room->half);
    *out = (lb_linop_input){.x = x, .half = room->half};
}

/* y += mult p: oneDNN adds a product as it is. */
static lb_status add_scaled(const lb_linop *o, const lb_linop_input *x, float mult, lb_mat y) {
    lb_mat p = lb_mat_of(lb_alloc((size_t)(y.rows * y.cols), sizeof(float)), y.rows, y.cols);
    if (!p.d) return LB_E_NOMEM;
    lb_status st = lb_bf16_matmul(&o->half, x->half, y.rows, false, p);
    if (st == LB_OK) lb_kernels_active()->axpy(y.d, mult, p.d, y.rows * y.cols);
    lb_free(p.d);
    return st;
}

static lb_status apply(const lb_linop *o, const lb_linop_input *x, float mult, bool add, lb_mat y) {
    if (add && mult != 1.0f) return add_scaled(o, x, mult, y);
    LB_TRY(lb_bf16_matmul(&o->half, x->half, y.rows, add, y));
    if (mult != 1.0f) lb_kernels_active()->scale(y.d, mult, y.rows * y.cols);
    return LB_OK;
}

const lb_linop_kind lb_linop_bf16 = {"bfloat16", false, prepare, apply};
