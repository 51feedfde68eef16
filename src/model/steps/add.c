/* y = add x: mult x. With += it is the sum of two values. */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    double mult, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &mult));
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t i = 0; i < r->T * x.cols; i++) y[i] = mult * x.d[i];
    return lb_ref_write(r, s, 0, y, x.cols);
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->cols[0];
    return NULL;
}

const lb_op lb_op_add = {.name = "add",
                         .operands = "v",
                         .results = 1,
                         .arg = {{"mult", NULL, "1"}},
                         .in_place = 1u,
                         .shape = shape,
                         .reference = reference};
