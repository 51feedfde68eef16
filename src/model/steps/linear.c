/* y = linear x SITE: mult (x Wᵀ + b). */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    lb_ref_param p;
    double mult, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_site(r, s, 1, x.cols, &p));
    LB_TRY(lb_ref_arg(r, s, 0, &mult));
    LB_TRY(lb_ref_product(r, &p, x.d, &y));
    for (int64_t i = 0; i < r->T * p.W.rows; i++) y[i] *= mult;
    return lb_ref_write(r, s, 0, y, p.W.rows);
}

static const float *bias_of(const lb_train *t, const lb_net_step *s) {
    int32_t id = lb_train_bias(t, s);
    return id >= 0 ? t->w->vector[id] : NULL;
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_share y = lb_train_out(t, s, r);
    const float *b = bias_of(t, s);
    float mult = (float)s->arg[0];
    lb_share_product(&y, mult, lb_train_input(t, s, r), true, t->w->site[s->site].W);
    for (int64_t i = 0; b && i < y.to.rows; i++)
        for (int64_t j = 0; j < y.to.cols; j++) y.to.d[i * y.to.ld + j] += mult * b[j];
    return LB_OK;
}

/* The gradient of the weights is made from all rows (train/run.c), straight through a quantizer of the input. */
static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_share dx = lb_train_share(t, s, 0, r);
    lb_mat dy = lb_train_grad(t, s->dst[0], r);
    float mult = (float)s->arg[0], *db = lb_train_sum(t, s, r, lb_train_bias(t, s), 0);
    (void)lb_train_input(t, s, r);
    LB_TRY(lb_train_back_product(t, s, r, &dx, mult, lb_mat_c(dy)));
    if (db) lb_train_add_rows(db, mult, dy);
    return LB_OK;
}

/* In place where it adds: beta = 1. */
static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    return lb_exec_product(x, s, r0, rows, (float)s->arg[0], s->into >= 0, lb_exec_result(x, s, r0, rows));
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->rows;
    return NULL;
}

static lb_scaled_by passes(const lb_net_step *s, lb_scaling *x) {
    (void)s, (void)x;
    return LB_SCALED_ROWS;
}

const lb_op lb_op_linear = {.name = "linear",
                            .operands = "vs",
                            .results = 1,
                            .arg = {{"mult", NULL, "1"}},
                            .shape = shape,
                            .forward = forward,
                            .passes = passes,
                            .undone = 1u,
                            .reads = 1u,
                            .train = train,
                            .back = back,
                            .reference = reference};
