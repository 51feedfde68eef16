/* y = experts x ROUTER top=: the router's softmax picks `top` experts for each token; each runs its program on the rows
 * routed to it, with x as the value n, and its value y, times the router's weight, is added in the order of experts
 * (Shazeer et al. 2017, arXiv:1701.06538, eq. 1). renorm: the weights of the picked ones sum to one; that is also the
 * softmax of the top logits alone. Equal weights: the lower expert first. */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <math.h>

static void softmax(double *p, int64_t n) {
    double top = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, p[i]);
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp(p[i] - top);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

/* What is not among the `top` largest becomes zero. */
static void keep_largest(double *p, int64_t n, int64_t top, bool renorm, bool *kept) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) kept[i] = false;
    for (int64_t k = 0; k < top; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!kept[i] && (best < 0 || p[i] > p[best])) best = i;
        kept[best] = true;
        sum += p[best];
    }
    for (int64_t i = 0; i < n; i++) p[i] = kept[i] ? p[i] / (renorm ? sum : 1.0) : 0.0;
}

/* Expert e on its rows; y (T, x->cols) gains what it gives. */
static lb_status run_expert(lb_reference *r, const lb_step *s, const lb_ref_value *x, const double *weight,
                            int64_t experts, int64_t e, double *y) {
    lb_reference own = *r;
    own.expert = e;
    own.T = 0;
    int64_t *row = LB_NEW(r->arena, int64_t, r->T + 1);
    if (!row) return LB_E_NOMEM;
    for (int64_t t = 0; t < r->T; t++)
        if (weight[t * experts + e] > 0.0) row[own.T++] = t;
    if (own.T == 0) return LB_OK;
    double *n;
    LB_TRY(lb_ref_new(&own, x->cols, &n));
    for (int64_t i = 0; i < own.T * x->cols; i++) n[i] = x->d[row[i / x->cols] * x->cols + i % x->cols];
    own.value[0] = (lb_ref_value){"n", n, x->cols};
    own.values = 1;
    LB_TRY(lb_ref_steps(&own, &r->program->expert));
    const lb_ref_value *out = lb_reference_value(&own, "y");
    if (!out || out->cols != x->cols) return lb_ref_fail(r, s, "an expert's program gives no y as wide as x");
    for (int64_t i = 0; i < own.T * x->cols; i++) {
        int64_t t = row[i / x->cols];
        y[t * x->cols + i % x->cols] += out->d[i] * weight[t * experts + e];
    }
    return LB_OK;
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    lb_ref_param router;
    double top, renorm, *weight, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_site(r, s, 1, x.cols, &router));
    LB_TRY(lb_ref_arg(r, s, 0, &top));
    LB_TRY(lb_ref_arg(r, s, 1, &renorm));
    int64_t experts = router.W.rows;
    if (!(top >= 1.0 && top <= (double)experts)) return lb_ref_fail(r, s, "top is not within the experts");
    bool *kept = LB_NEW(r->arena, bool, experts);
    if (!kept) return LB_E_NOMEM;
    LB_TRY(lb_ref_product(r, &router, x.d, &weight));
    for (int64_t t = 0; t < r->T; t++) {
        softmax(weight + t * experts, experts);
        keep_largest(weight + t * experts, experts, (int64_t)top, renorm != 0.0, kept);
    }
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t e = 0; e < experts; e++) LB_TRY(run_expert(r, s, &x, weight, experts, e, y));
    return lb_ref_write(r, s, 0, y, x.cols);
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    cols[0] = s->cols[0];
    return step->arg[0] >= 1.0 && step->arg[0] <= (double)s->rows ? NULL : "top is not within the experts";
}

const lb_op lb_op_experts = {.name = "experts",
                             .operands = "vs",
                             .results = 1,
                             .arg = {{"top", NULL, NULL}, {"renorm", NULL, "0"}},
                             .reach = LB_BY_EXPERT,
                             .shape = shape,
                             .reference = reference};
