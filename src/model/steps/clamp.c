/* y = clamp x limit=: into [-limit, limit] (OLMo's clip_qkv). */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <math.h>

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    double limit, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &limit));
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t i = 0; i < r->T * x.cols; i++) y[i] = fmin(fmax(x.d[i], -limit), limit);
    return lb_ref_write(r, s, 0, y, x.cols);
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r);
    lb_share y = lb_train_out(t, s, r);
    float limit = (float)s->arg[0];
    for (int64_t i = 0; i < x.rows; i++) {
        const float *from = x.d + i * x.ld;
        for (int64_t j = 0; j < x.cols; j++) /* NaN stays */
            r->scratch[j] = from[j] > limit ? limit : from[j] < -limit ? -limit : from[j];
        lb_share_set(&y, i, r->scratch);
    }
    return LB_OK;
}

static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r), dy = lb_train_grad(t, s->dst[0], r);
    lb_share dx = lb_train_share(t, s, 0, r);
    float limit = (float)s->arg[0];
    for (int64_t i = 0; i < x.rows; i++) {
        const float *from = x.d + i * x.ld, *d = dy.d + i * dy.ld;
        for (int64_t j = 0; j < x.cols; j++) r->scratch[j] = fabsf(from[j]) <= limit ? d[j] : 0.0f;
        lb_share_set(&dx, i, r->scratch);
    }
    return LB_OK;
}

/* A NaN stays. */
static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_exec_result(x, s, r0, rows);
    float limit = (float)s->arg[0];
    for (int64_t t = 0; t < rows; t++) {
        const float *v = from.d + t * from.ld;
        float *y = to.d + t * to.ld, *at = lb_exec_row(x, s, y);
        for (int64_t i = 0; i < to.cols; i++) at[i] = v[i] > limit ? limit : v[i] < -limit ? -limit : v[i];
        lb_exec_row_done(x, s, y, to.cols);
    }
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->cols[0];
    return NULL;
}

const lb_op lb_op_clamp = {.name = "clamp",
                           .operands = "v",
                           .results = 1,
                           .arg = {{"limit", NULL, NULL}},
                           .in_place = 1u,
                           .shape = shape,
                           .forward = forward,
                           .reads = 1u,
                           .again = true,
                           .train = train,
                           .back = back,
                           .reference = reference};
