/* y = linear x SITE: mult (x Wᵀ + b). */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

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

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->rows;
    return NULL;
}

const lb_op lb_op_linear = {.name = "linear",
                            .operands = "vs",
                            .results = 1,
                            .arg = {{"mult", NULL, "1"}},
                            .shape = shape,
                            .reference = reference};
