/* y = head x SITE: the logits, scale (x Wᵀ + b), then cap tanh(y / cap) where there is a cap (Gemma 2). */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <math.h>
#include <string.h>

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    lb_ref_param p;
    double scale, cap, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_site(r, s, 1, x.cols, &p));
    LB_TRY(lb_ref_arg(r, s, 0, &scale));
    LB_TRY(lb_ref_arg(r, s, 1, &cap));
    LB_TRY(lb_ref_product(r, &p, x.d, &y));
    for (int64_t i = 0; i < r->T * p.W.rows; i++) {
        y[i] *= scale;
        if (cap > 0.0) y[i] = tanh(y[i] / cap) * cap;
    }
    return lb_ref_write(r, s, 0, y, p.W.rows);
}

/* What it reads is handed out: model/head.c makes the logits, and never all of them. */
static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_mat_part(x->h, r0, 0, rows, x->h.cols);
    for (int64_t t = 0; t < rows && from.d != to.d; t++)
        memcpy(to.d + t * to.ld, from.d + t * from.ld, (size_t)to.cols * sizeof *to.d);
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->rows;
    return NULL;
}

const lb_op lb_op_head = {.name = "head",
                          .operands = "vs",
                          .results = 1,
                          .arg = {{"scale", NULL, "1"}, {"cap", NULL, "0"}},
                          .keeps_no_result = true,
                          .shape = shape,
                          .forward = forward,
                          .undone = 1u,
                          .reference = reference};
