/* y = add x: mult x. With += it is the sum of two values. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    double mult, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &mult));
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t i = 0; i < r->T * x.cols; i++) y[i] = mult * x.d[i];
    return lb_ref_write(r, s, 0, y, x.cols);
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r);
    lb_share y = lb_train_out(t, s, r);
    for (int64_t i = 0; i < x.rows; i++) lb_share_times(&y, i, (float)s->arg[0], x.d + i * x.ld);
    return LB_OK;
}

static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat dy = lb_train_grad(t, s->dst[0], r);
    lb_share dx = lb_train_share(t, s, 0, r);
    for (int64_t i = 0; i < dy.rows; i++) lb_share_times(&dx, i, (float)s->arg[0], dy.d + i * dy.ld);
    return LB_OK;
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_exec_result(x, s, r0, rows);
    float mult = (float)s->arg[0];
    for (int64_t t = 0; t < rows; t++) {
        const float *v = from.d + t * from.ld;
        float *y = to.d + t * to.ld;
        if (s->into >= 0)
            for (int64_t i = 0; i < to.cols; i++) y[i] += mult * v[i];
        else
            for (int64_t i = 0; i < to.cols; i++) y[i] = mult * v[i];
    }
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->cols[0];
    return NULL;
}

static lb_scaled_by passes(const lb_net_step *s, lb_scaling *x) {
    (void)s;
    x->operand = 0;
    return LB_SCALED_OPERAND;
}

const lb_op lb_op_add = {.name = "add",
                         .operands = "v",
                         .results = 1,
                         .arg = {{"mult", NULL, "1"}},
                         .in_place = 1u,
                         .shape = shape,
                         .forward = forward,
                         .passes = passes,
                         .again = true,
                         .train = train,
                         .back = back,
                         .reference = reference};
