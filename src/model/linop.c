#include "model/linop.h"

#include <assert.h>

#include "math/kernels.h"
#include "math/product.h"
#include "model/weights.h"

const lb_linop_kind *lb_linop_kind_of(const lb_linop *o) { return o->half.d ? &lb_linop_bf16 : &lb_linop_f32; }

bool lb_linop_share(const lb_linop *a, const lb_linop *b) {
    return lb_actquant_same(&a->act, &b->act) && lb_linop_kind_of(a) == lb_linop_kind_of(b) &&
           lb_transform_same(&a->T, &b->T, a->W.cols);
}

void lb_linop_prepare(const lb_linop *o, lb_mat x, bool spoil, const lb_linop_room *room, lb_linop_input *out) {
    if (lb_transform_any(&o->T)) {
        lb_mat to = spoil ? x : lb_mat_of(room->quantized, x.rows, x.cols);
        lb_linop_transformed(o, lb_mat_c(x), to);
        x = to;
        spoil = true;
    }
    if (o->act.bits) {
        lb_mat to = spoil ? x : lb_mat_of(room->quantized, x.rows, x.cols);
        lb_actquant_apply(&o->act, lb_mat_c(x), to);
        x = to;
    }
    lb_linop_kind_of(o)->prepare(lb_mat_c(x), room, out);
}

void lb_linop_transformed(const lb_linop *o, lb_cmat x, lb_mat y) { lb_transform_input(&o->T, x, y); }

lb_status lb_linop_apply(const lb_linop *o, const lb_linop_input *x, float mult, bool add, lb_mat y) {
    assert(x->x.rows == y.rows && x->x.cols == o->W.cols && y.cols == o->W.rows);
    return lb_linop_kind_of(o)->apply(o, x, mult, add, y);
}

lb_status lb_linop_apply_rows(const lb_linop *o, int64_t first, int64_t n, lb_cmat x, float *buffer, lb_mat y) {
    lb_cmat part;
    LB_TRY(lb_rows_get(o->W, &o->from, first, n, buffer, &part));
    lb_product(x, part, 1.0f, false, y);
    return LB_OK;
}

/* ---- float32, in memory ---- */

static void prepare(lb_cmat x, const lb_linop_room *room, lb_linop_input *out) {
    (void)room;
    *out = (lb_linop_input){.x = x};
}

/* A site of one output: OpenBLAS would take another kernel for few rows of x than for many. */
static void apply_one(const lb_linop *o, lb_cmat x, float mult, bool add, lb_mat y) {
    const lb_kernels *kn = lb_kernels_active();
    for (int64_t t = 0; t < x.rows; t++) {
        float v = mult * (float)kn->dot(x.d + t * x.ld, o->W.d, x.cols);
        y.d[t * y.ld] = add ? y.d[t * y.ld] + v : v;
    }
}

static lb_status apply(const lb_linop *o, const lb_linop_input *x, float mult, bool add, lb_mat y) {
    assert(o->W.d);
    if (o->W.rows == 1)
        apply_one(o, x->x, mult, add, y);
    else
        lb_product(x->x, o->W, mult, add, y);
    return LB_OK;
}

const lb_linop_kind lb_linop_f32 = {"float32", true, prepare, apply};
